"""One file of the Hub into the cache: hashed on its way, resumed where it broke off, and verified.

The client of huggingface_hub says who we are and where files are, and its cache keeps them; the transfer itself is
here, because the client's accepts a body of the right size with wrong content, gives up at an error 503, and waits for
hours where a rate limit asks so.
"""

from pathlib import Path
from typing import Any

from huggingface_hub import get_session, hf_hub_url
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, tqdm

from ganhub import __version__
from ganhub.patience import DamagedError, Patience, ShortError, patiently
from ganhub.store import Blob, Commit, Store

SHOWN = 10 * 2**20  # bytes from which on a download has a progress bar


def fetch_file(store: Store, commit: Commit, name: str, token: str | bool | None, patience: Patience) -> None:
    """Bring one file into the cache; one that isn't as announced is fetched a second time, and then refused."""
    blob = commit.files[name]
    headers = build_hf_headers(token=token, library_name="ganhub", library_version=__version__)
    url = hf_hub_url(store.repo, name, revision=commit.id)
    for _ in range(2):
        with store.aside(blob) as aside:
            transfer = Transfer(url, headers, blob, aside, patience)
            if patiently(transfer.run, patience) == blob.digest:
                store.place(aside, commit, name)
                return
    raise DamagedError(f"{name} came twice with other content than the Hub announced")


class Transfer:
    """One body to one file, hashed on its way, and resumed where it broke off.

    Args:
        url: of the file.
        headers: of the request, with the token.
        blob: what the Hub announced; no byte more is accepted.
        file: is written to.
        patience: is told of every byte.
    """

    def __init__(self, url: str, headers: dict[str, str], blob: Blob, file: Path, patience: Patience):
        self.url, self.blob, self.file, self.patience = url, blob, file, patience
        self.headers = headers | {"Accept-Encoding": "identity"}
        self.most = 0  # bytes that were here at once, whatever was dropped since
        self._restart()

    def _restart(self) -> None:
        self.done, self.hasher = 0, self.blob.hasher()

    def run(self, timeout: float) -> str:
        """Fetch what is left; the digest of the whole, which no body has that is longer than announced."""
        asked = {"Range": f"bytes={self.done}-"} if self.done else {}
        with get_session().stream("GET", self.url, headers=self.headers | asked, timeout=timeout) as response:
            hf_raise_for_status(response)
            if response.status_code != 206 or not response.headers.get("Content-Range", "").startswith(
                f"bytes {self.done}-"
            ):
                self._restart()
            name, start, before = self.url.rpartition("/")[2], self.done, self.most
            bar = tqdm(total=self.blob.size, initial=start, desc=name, unit="B", unit_scale=True, **self._quiet())
            with bar, self.file.open("r+b" if start else "wb") as file:
                file.seek(start)
                for piece in response.iter_bytes():
                    file.write(piece)
                    self.hasher.update(piece)
                    self.done += len(piece)
                    self.most = max(self.most, self.done)
                    bar.update(len(piece))
                    if self.done > self.blob.size:
                        return "more than announced"
                    if self.done < self.blob.size:  # the last piece is never too late
                        self.patience.arrived(self.done - start, self.most - before)
        if self.done < self.blob.size:
            raise ShortError(f"{name} ended after {self.done:,} of {self.blob.size:,} bytes")
        return self.hasher.hexdigest()

    def _quiet(self) -> dict[str, Any]:
        return {"disable": True} if self.blob.size < SHOWN else {}
