"""Chat templates for a language model without images: its own template, with placeholders inserted."""

from collections.abc import Mapping, Sequence
from typing import Any

from panollava_hf._assistant_turns import mark_turns

#: A chat template, or several by name as some tokenizers have ("default", "tool_use").
Template = str | Mapping[str, str] | None
#: The placeholder of a panorama in a prompt.
IMAGE_TOKEN = "<|vision|>"

#: Turns lists of contents into strings, with a placeholder for each image; the language model's template follows it.
FLATTEN_CONTENT = """\
{%- set flat = namespace(messages=[]) -%}
{%- for message in messages -%}
{%- if message['content'] is string or message['content'] is none -%}
{%- set flat.messages = flat.messages + [message] -%}
{%- else -%}
{%- set part = namespace(text='') -%}
{%- for item in message['content'] -%}
{%- if item['type'] in ('image', 'image_url') -%}
{%- set part.text = part.text + 'IMAGE_TOKEN' + '\\n' -%}
{%- elif item['type'] == 'text' -%}
{%- set part.text = part.text + item['text'] -%}
{%- else -%}
{{- raise_exception('PanoLLaVA reads text and images, not content of type ' ~ item['type']) -}}
{%- endif -%}
{%- endfor -%}
{%- set flat.messages = flat.messages + [dict(message, content=part.text)] -%}
{%- endif -%}
{%- endfor -%}
{%- set messages = flat.messages -%}
"""

#: For base models without a template of their own.
PLAIN = """\
{%- for message in messages -%}
{{- message['role'] | capitalize ~ ':' -}}
{%- if message['role'] == 'assistant' -%}
{%- generation -%}{{- ' ' ~ message['content'] ~ '\\n' -}}{%- endgeneration -%}
{%- else -%}
{{- ' ' ~ message['content'] ~ '\\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- 'Assistant:' -}}{%- endif -%}
"""


def with_images(template: Template, image_token: str) -> Any:
    """A chat template that also takes `[{"type": "image"}, {"type": "text", "text": …}]` contents.

    Args:
        template: The language model's own Jinja template, or several by name; None takes a plain one.
        image_token: The placeholder, written once for each image.

    Returns:
        A Jinja template for `apply_chat_template`, or several by name.
    """
    if isinstance(template, Mapping):
        return {name: with_images(one, image_token) for name, one in template.items()}
    return FLATTEN_CONTENT.replace("IMAGE_TOKEN", image_token) + (PLAIN if template is None else template)


def marked_template(
    template: Template, image_token: str, tokens: Sequence[str], variables: Mapping[str, Any]
) -> tuple[Any, str | None]:
    """As `with_images`, with `{% generation %}` around the assistant's texts where this changes no rendered text.

    Args:
        template: The language model's own Jinja template, or several by name; None takes a plain one.
        image_token: The placeholder.
        tokens: The control tokens of the tokenizer.
        variables: Its special tokens by name.

    Returns:
        The template, or several by name, and why it has no tags (None: it has). Of several, the default one counts.
    """
    if isinstance(template, Mapping):
        found = {name: marked_template(one, image_token, tokens, variables) for name, one in template.items()}
        problem = found["default"][1] if "default" in found else None
        return {name: one for name, (one, _) in found.items()}, problem
    if template is None:
        return with_images(None, image_token), None
    return mark_turns(FLATTEN_CONTENT.replace("IMAGE_TOKEN", image_token), template, tokens, variables)
