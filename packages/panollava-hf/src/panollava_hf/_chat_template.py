"""Chat templates for a language model without images: its own template, with placeholders inserted."""

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
{{- message['role'] | capitalize ~ ': ' ~ message['content'] ~ '\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- 'Assistant:' -}}{%- endif -%}
"""


def with_images(template: str | None, image_token: str) -> str:
    """A chat template that also takes `[{"type": "image"}, {"type": "text", "text": …}]` contents.

    Args:
        template: The language model's own Jinja template; None takes a plain one.
        image_token: The placeholder, written once for each image.

    Returns:
        A Jinja template for `apply_chat_template`.
    """
    return FLATTEN_CONTENT.replace("IMAGE_TOKEN", image_token) + (PLAIN if template is None else template)
