"""Addresses and refs that Coachwork takes, and git as well."""

ADDRESSES = (
    "https://github.com/acme/iris.git", "http://git.example:8080/a", "http://[::1]:3000/a", "https://host/a%20b",
    "https://dev.azure.com/org/proj/_git/repo", "https://h_x/a", "https://h./a", "https://127.1/a", "https://h:/a",
    "https://xn--hst-sna/a", "https://[fe80::1%25eth0]/a", "https://h/a@b", "https://git.example.com/me@example.com/x",
    "https://h/a%40b", "https://h/a(b)!", "https://h/a;b,c=d&e*f", "https://h/a'b", "https://h/a$b", "https://h/~u/a",
    'https://h/a"b', "https://h/a{b}", "https://h/a|b^c`d<e>", "https://h/a:b", "https://h/a::b", "https://h/\u00e9",
    "https://h/a/../b",
    "ssh://git@github.com/a/b", "ssh://git@host:2222/~/a", "ssh://g@[::1]/a", "ssh://git@host:/a", "ssh://git+x@h/a",
    "ssh://git@host/a@b", "git@github.com:a/b.git", "git@host:/srv/a", "git@host:~/a", "git@host:a?b", "git@host:a#b",
    "git@host:a@b", "user@host:1234/a", "git@[::1]:a",
    "file:///srv/git/iris.git", "file:////srv", "file:///srv/a@b", "file:///srv/a?b", "file:///srv/a#b",
)  # fmt: skip
REFS = (
    "main",
    "feature/a-b",
    "v1.0",
    "refs/tags/v1",
    "0a1b2c3",
    "HEAD",
    "gr\u00f6\u00dfe",
    "a@b",
    "a.b",
    "a/-b",
    "a'b",
)
