"""Runs in the chat clients' environment: asks a service about an image with one of them, as its documents show.

``python chat_clients.py CLIENT URL MODEL IMAGE QUESTION`` prints the answer, whole and streamed, as JSON.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import litellm
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from llama_index.llms.openai_like import OpenAILike

KEY = "unused"
MAX_TOKENS = 1000
"""What their users send, more than a service gives."""


def with_litellm(url: str, model: str, image: Path, question: str) -> tuple[str, str]:
    """LiteLLM, with the image as a data URL after the text."""
    encoded = base64.b64encode(image.read_bytes()).decode()
    content = [
        {"type": "text", "text": question},
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{encoded}"}},
    ]
    options: dict[str, Any] = {
        "model": f"openai/{model}",
        "api_base": f"{url}/v1",
        "api_key": KEY,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": MAX_TOKENS,
    }
    whole = litellm.completion(**options).choices[0].message.content
    chunks = litellm.completion(**options, stream=True)
    return whole, "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def with_langchain(url: str, model: str, image: Path, question: str) -> tuple[str, str]:
    """LangChain, with its own image block."""
    chat = ChatOpenAI(model=model, base_url=f"{url}/v1", api_key=KEY, max_tokens=MAX_TOKENS, temperature=0)
    encoded = base64.b64encode(image.read_bytes()).decode()
    content = [
        {"type": "text", "text": question},
        {"type": "image", "source_type": "base64", "data": encoded, "mime_type": "image/jpeg"},
    ]
    message = HumanMessage(content=content)
    return chat.invoke([message]).text, "".join(piece.text for piece in chat.stream([message]))


def with_llama_index(url: str, model: str, image: Path, question: str) -> tuple[str, str]:
    """LlamaIndex, for a server like OpenAI's."""
    llm = OpenAILike(model=model, api_base=f"{url}/v1", api_key=KEY, is_chat_model=True, max_tokens=MAX_TOKENS)
    messages = [ChatMessage(role="user", blocks=[TextBlock(text=question), ImageBlock(path=image)])]
    streamed = "".join(piece.delta or "" for piece in llm.stream_chat(messages))
    return llm.chat(messages).message.content, streamed


def with_llm(url: str, model: str, image: Path, question: str) -> tuple[str, str]:
    """The command ``llm``, with the model described in its folder."""
    described = {"model_id": "here", "model_name": model, "api_base": f"{url}/v1", "vision": True}
    command = [str(Path(sys.executable).with_name("llm")), "-m", "here", "--key", KEY, "-a", str(image)]
    command += ["-o", "max_tokens", str(MAX_TOKENS)]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "extra-openai-models.yaml").write_text(json.dumps([described]))  # JSON is YAML
        whole, streamed = (
            subprocess.run(
                [*command, *options, question],
                env={**os.environ, "LLM_USER_PATH": folder},
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
            for options in (["--no-stream"], [])
        )
    return whole, streamed


CLIENTS: dict[str, Callable[[str, str, Path, str], tuple[str, str]]] = {
    "litellm": with_litellm,
    "langchain": with_langchain,
    "llama-index": with_llama_index,
    "llm": with_llm,
}

if __name__ == "__main__":
    client, url, model, image, question = sys.argv[1:]
    print(json.dumps(CLIENTS[client](url, model, Path(image), question)))
