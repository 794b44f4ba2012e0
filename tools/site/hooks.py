"""MkDocs hooks: pages from outside docs/, the reference, and links that hold in the site."""

from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from tools.site import line_breaks, notebooks, pages, reference

#: The last line of a tutorial; the notebook lies next to the page's source.
NOTEBOOK = '[This page as a notebook]({name}.ipynb){{ download="{name}.ipynb" }}\n'

#: Weight in the search's order of pages by the beginning of their path: guides come before names and records.
SEARCH_WEIGHTS = {
    "reference/": 0.4,
    "migration/": 0.6,
    "changelogs/": 0.25,
    "log.md": 0.25,
    "contributing.md": 0.25,
    "code-of-conduct.md": 0.25,
    "releasing.md": 0.25,
    "security.md": 0.25,
    "ko/index.md": 2,  # the word "Korean" is on it once
}


def is_tutorial(page: str) -> bool:
    """Whether a page of the site, by its path in the sources, is a tutorial with code."""
    return page.startswith("tutorials/") and page != "tutorials/index.md"


def on_config(config: Any) -> Any:
    """Add a page for each public module to the navigation."""
    section = next(entry["Reference"] for entry in config.nav if "Reference" in entry)
    section += [{module.name: module.page} for module in reference.modules()]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are not in docs/, the reference, and the files that pages link to."""
    for path, page in pages.OUTSIDE.items():
        files.append(File.generated(config, page, content=(pages.ROOT / path).read_text(encoding="utf-8")))
    found = reference.modules()
    if missing := reference.undocumented(found):
        raise PluginError(f"public names without a docstring: {', '.join(missing)}")
    if missing := reference.not_imported(found):
        raise PluginError(f"names that examples use and do not import: {', '.join(missing)}")
    files.append(File.generated(config, "reference/index.md", content=reference.index_text(found)))
    for module in found:
        files.append(File.generated(config, module.page, content=reference.page_text(module)))
    linked: set[str] = set()
    for file in list(files.documentation_pages()):
        if is_tutorial(file.src_uri):
            url = f"{config.site_url}{file.url}"
            made = notebooks.notebook(pages.site_text(file.content_string, file.src_uri), url)
            files.append(File.generated(config, file.src_uri.replace(".md", ".ipynb"), content=made))
        if not file.src_uri.startswith("reference/"):
            try:
                linked |= pages.outside_targets(file.content_string, file.src_uri)
            except pages.BrokenLink as error:
                raise PluginError(str(error)) from error
    for path in sorted(linked):
        source = pages.ROOT / path
        if not source.is_file() or source.suffix == ".md":
            raise PluginError(f"a page links to {path}, which is neither a page of the site nor another file")
        files.append(File.generated(config, pages.place(path), content=source.read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Change the links of a page from paths in the repository to paths in the site, and set its rank in the search."""
    uri = page.file.src_uri
    for beginning, weight in SEARCH_WEIGHTS.items():
        if uri.startswith(beginning):
            page.meta["search"] = {"boost": weight}
    if page.is_homepage:
        page.meta["hide"] = ["navigation"]  # it would be nearly empty; lines of code get its place
    if uri.startswith("reference/"):
        return markdown
    text = pages.site_text(markdown, uri)
    return f"{text}\n{NOTEBOOK.format(name=page.file.name)}" if is_tutorial(uri) else text


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Name the language of the Korean pages, which browsers and screen readers use, and say where lines may break."""
    if page.file.src_uri.startswith("ko/"):
        output = output.replace('<html lang="en"', '<html lang="ko"', 1)
    return line_breaks.with_name_parts(line_breaks.with_whole_words(output))
