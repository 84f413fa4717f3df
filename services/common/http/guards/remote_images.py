"""Fetch a request's images from hosts that are allowed by name, over HTTPS, bounded in bytes, time and redirects."""

import asyncio
import re
import ssl
from typing import Any, Final

import httpcore
import httpx

from services.common.http.guards.addresses import AddressError, PublicBackend, Resolve, resolve
from services.common.settings import ServerSettings
from services.wire.chat import MAX_IMAGES, image_name
from services.wire.errors import ImageFetchError, TooLargeError

_URL: Final = re.compile(r"https?:", re.IGNORECASE)
_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f\\]")
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS: Final = 3
_OK: Final = 200
_HTTPS: Final = 443

Fields = dict[str, Any]


class RemoteImages:
    """Fetches images; tests bring their own resolver, network and certificates."""

    def __init__(
        self,
        settings: ServerSettings,
        resolve: Resolve = resolve,
        network: httpcore.AsyncNetworkBackend | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._settings = settings
        self._allowed = settings.allowed_image_hosts
        self._backend = PublicBackend(resolve, network or httpcore.AnyIOBackend())
        self._context = context or httpx.create_ssl_context(trust_env=False)

    async def fetch(self, urls: dict[str, str]) -> dict[str, bytes]:
        """The bytes of each field's image, by the field's name.

        Raises:
            ImageFetchError: a URL is not allowed, or its host does not answer with an image in time.
            TooLargeError: an image has more bytes than one may have, or all of them more than a body.
        """
        if len(urls) > MAX_IMAGES:
            message = f"the request has {len(urls)} images to fetch, at most {MAX_IMAGES} are allowed"
            raise ImageFetchError(message, "messages")
        images: dict[str, bytes] = {}
        limit_s, field = self._settings.image_timeout_s, ""
        try:
            async with asyncio.timeout(limit_s):
                for field, url in urls.items():
                    left = self._settings.max_body_bytes - sum(map(len, images.values()))
                    images[field] = await self._image(field, url, min(left, self._settings.max_image_bytes))
        except TimeoutError as error:
            message = f"'{field}' was not fetched within {limit_s:g} s: send the bytes instead"
            raise ImageFetchError(message, field) from error
        return images

    async def _image(self, field: str, text: str, most_bytes: int) -> bytes:
        url = self._checked(field, text)
        # a pool for each image: none of its connections is found by another
        async with httpcore.AsyncConnectionPool(ssl_context=self._context, network_backend=self._backend) as pool:
            for _ in range(_MOST_REDIRECTS + 1):
                try:
                    found = await self._get(pool, field, url, most_bytes)
                except AddressError as error:
                    message = f"'{field}' cannot be fetched: {error}"
                    raise ImageFetchError(message, field) from error
                except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
                    message = f"'{field}' cannot be fetched: {url.host} does not answer over HTTPS as it should"
                    raise ImageFetchError(message, field) from error
                if isinstance(found, bytes):
                    return found
                url = self._checked(field, found)
        message = f"'{field}' is redirected more than {_MOST_REDIRECTS} times: name the image itself"
        raise ImageFetchError(message, field)

    async def _get(
        self, pool: httpcore.AsyncConnectionPool, field: str, url: httpx.URL, most_bytes: int
    ) -> bytes | str:
        """The image, or where the answer redirects to."""
        # of the parts that were checked: the text is not parsed again
        target = httpcore.URL(scheme=b"https", host=url.raw_host, port=url.port, target=url.raw_path)
        headers: dict[bytes | str, bytes | str] = {
            "Accept": "image/*",
            "Accept-Encoding": "identity",
            "User-Agent": "tallyglass",
        }
        async with pool.stream("GET", target, headers=headers) as answer:
            to = next((value for name, value in answer.headers if name.lower() == b"location"), None)
            if answer.status in _REDIRECTS and to is not None:
                text = to.decode("latin-1")
                return text if _UNSAFE.search(text) or "://" in text else str(url.join(text))
            if answer.status != _OK:
                message = f"'{field}' cannot be fetched: {url.host} answers with {answer.status}"
                raise ImageFetchError(message, field)
            image = b""
            async for piece in answer.aiter_stream():
                image += piece
                if len(image) > most_bytes:
                    message = f"'{field}' has more than {most_bytes} bytes, which is the most: scale it down"
                    raise TooLargeError(message, field)
            return image

    def _checked(self, field: str, text: str) -> httpx.URL:
        """The URL, parsed once."""
        if _UNSAFE.search(text):
            message = f"'{field}' has a space, a control character or a backslash in its URL: percent-encode it"
            raise ImageFetchError(message, field)
        try:
            url = httpx.URL(text)
        except httpx.InvalidURL as error:
            message = f"'{field}' is not a URL that can be read ({error})"
            raise ImageFetchError(message, field) from error
        if url.scheme != "https" or url.userinfo:
            message = f"'{field}' must be a URL with https:// and without a user name"
            raise ImageFetchError(message, field)
        host, port = url.raw_host.decode("ascii"), url.port or _HTTPS
        if not any(port == at and _matches(host, name) for name, at in self._allowed):
            message = f"'{field}' is on a host that this server does not fetch images from: send the bytes instead"
            raise ImageFetchError(message, field)
        return url


def remote_urls(fields: Fields) -> dict[str, str]:
    """The images of a request that are URLs to be fetched, by their fields' names."""
    found = {"image": fields.get("image")}
    messages = fields.get("messages")
    for at, message in enumerate(messages if isinstance(messages, list) else []):
        content = message.get("content") if isinstance(message, dict) else None
        for place, part in enumerate(content if isinstance(content, list) else []):
            image = part.get("image_url") if isinstance(part, dict) else None
            found[image_name(at, place)] = image.get("url") if isinstance(image, dict) else image
    return {name: url.strip() for name, url in found.items() if isinstance(url, str) and _URL.match(url.strip())}


def with_images(fields: Fields, images: dict[str, bytes]) -> Fields:
    """The request with bytes in place of its URLs."""
    if "image" in images:
        fields = {**fields, "image": images["image"]}
    if isinstance(messages := fields.get("messages"), list):
        fields = {**fields, "messages": [_message(message, at, images) for at, message in enumerate(messages)]}
    return fields


def _message(message: Any, at: int, images: dict[str, bytes]) -> Any:  # noqa: ANN401 as the client wrote it
    if not isinstance(message, dict) or not isinstance(message.get("content"), list):
        return message
    parts = []
    for place, part in enumerate(message["content"]):
        image = images.get(image_name(at, place))
        if image is None:
            parts.append(part)
        else:
            sent = part["image_url"] if isinstance(part["image_url"], dict) else {}
            parts.append({**part, "image_url": {**sent, "url": image}})
    return {**message, "content": parts}


def _matches(host: str, name: str) -> bool:
    return host.endswith(name.removeprefix("*")) if name.startswith("*.") else host == name
