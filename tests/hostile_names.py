"""Names that mean ill, as strangers may choose them: of branches and tags all that git allows, of
people, titles and files whatever a text can hold."""

# 300 characters, in parts: a file system takes 255 at once, and git keeps refs as files.
LONG = f"{'x' * 150}/{'y' * 149}"
BRANCHES = (
    *(
        'a";id;"',
        "a'b",
        "$(touch${IFS}pwned)",
        "`touch${IFS}pwned`",
        "a&b|c;d<e>f",
        "#",
        "!x",
        "%s",
    ),
    *("-x", "--upload-pack=touch${IFS}pwned", "@", "{{7+7}}", "</script><script>alert(1)</script>"),
    *("ünï/cødé", "\u202egpj.exe", "分支", "\U0001f6aa", "javascript;alert(1)", LONG),
)
TEXTS = (
    *('"; id; "', "'; DROP TABLE runs; --", "$(touch pwned)", "`touch pwned`", "a\nb\r\nc", "-rf"),
    *("--upload-pack=touch", "<script>alert(1)</script>", "' onmouseover='alert(1)", "{{7*7}}"),
    *(
        "\u202egpj.exe",
        "ünï cødé 分支 \U0001f6aa",
        "../../etc/passwd",
        "x" * 300,
        "%00%0a",
        "\x1b[2J\x07",
    ),
)
