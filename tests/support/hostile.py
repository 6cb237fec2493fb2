"""Texts that would be markup, code or commands somewhere."""

HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=document.title='owned'>",
    "\"><svg onload=document.title='owned'>",
    "{{ 7*7 }}{% raw %}",
    "\x1b[31mred\x1b[0m\x00\x07",
    "\u202egnirts\u2066\u2069",
    "<!--<script>",
    "&lt;b&gt;&amp;\u2028\u2029",
    "]]>\n--\n$(touch owned)`touch owned`",
)
