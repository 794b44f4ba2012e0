"""Where the lines of a page may break: not inside options, and between the parts of long names."""

import re

#: Code in running text, and the words in it that a browser may break at a hyphen (`--base-url` after its first `-`).
_INLINE_CODE = re.compile(r"(?<!<pre>)(<code>)([^<]*)(</code>)")
_HYPHENATED = re.compile(r"(?<!\S)\S*-\S*(?!\S)")
#: Names of modules and in headings of the reference: `panollava_hf.evaluation.metrics` is wider than the navigation.
_NAME = re.compile(
    r"((?:<h1[^>]*>|<span class=\"md-ellipsis\">)\s*(?=panollava_)|<span class=\"doc doc-object-name[^>]*>)([\w.]+)"
)
_NAME_PART = re.compile(r"(?<=[._])(?=\w)|(?<=[a-z])(?=[A-Z][a-z])")
#: Words of at most so many characters stay whole; they fit a line of a phone.
_WHOLE = 30


def with_whole_words(html: str) -> str:
    """Mark short words with a hyphen in inline code as not to be broken.

    >>> with_whole_words("<code>ask --json</code> <pre><code>a-b</code></pre>")
    '<code>ask <span class="whole">--json</span></code> <pre><code>a-b</code></pre>'
    """

    def marked(word: re.Match[str]) -> str:
        return f'<span class="whole">{word[0]}</span>' if len(word[0]) <= _WHOLE else word[0]

    return _INLINE_CODE.sub(lambda code: code[1] + _HYPHENATED.sub(marked, code[2]) + code[3], html)


def with_name_parts(html: str) -> str:
    """Allow a break after each part of a name that is a heading or in the navigation.

    >>> with_name_parts("<h1>panollava_hf.jobs</h1><h2>merge_lora</h2>")
    '<h1>panollava_<wbr>hf.<wbr>jobs</h1><h2>merge_lora</h2>'
    """
    return _NAME.sub(lambda name: name[1] + _NAME_PART.sub("<wbr>", name[2]), html)
