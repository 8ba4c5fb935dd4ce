"""Pages that need no script: the login, and what is said where there is nothing."""

from __future__ import annotations

from html import escape
from string import Template

from starlette.responses import HTMLResponse

from connectors.web.words import Words

_PAGE = Template("""<!doctype html>
<html lang="$lang"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title><style>
:root{color-scheme:light}*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;background:#eef1f4;color:#16212b;
font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans CJK SC","Noto Sans SC","PingFang SC",
"Microsoft YaHei",sans-serif}
main{width:min(23rem,calc(100vw - 2rem));background:#fff;border:1px solid #d5dce3;
border-radius:6px;padding:1.75rem}
h1{font-size:1.15rem;margin:0 0 .25rem}p{margin:0 0 1.1rem;color:#51606e}p:last-child{margin:0}a{color:#0b5cab}
label{display:block;font-weight:600;margin-bottom:.3rem}
input{width:100%;font:inherit;padding:.5rem .6rem;border:1px solid #8595a3;border-radius:4px;background:#fff}
button{margin-top:1rem;width:100%;font:inherit;font-weight:600;padding:.55rem;border:0;border-radius:4px;
background:#0b5cab;color:#fff;cursor:pointer}
button:hover{background:#094d90}:focus-visible{outline:3px solid #7db5ea;outline-offset:1px}
[role=alert]{margin:0 0 1rem;padding:.5rem .7rem;
border-left:4px solid #b3261e;background:#fdeceb;color:#7c1a14}
</style></head><body><main><h1>$title</h1><p>$lead</p>$content</main></body></html>
""")


def page(say: Words, lead: str, content: str, status: int = 200) -> HTMLResponse:
    """A small page; ``lead`` is text, ``content`` is HTML of ours."""
    body = _PAGE.substitute(
        lang=say("html_lang"), title=escape(say("title")), lead=escape(lead), content=content
    )
    return HTMLResponse(body, status)
