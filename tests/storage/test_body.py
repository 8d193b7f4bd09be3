from gsv2.storage.body import public_name


def test_logs_hold_no_secrets():
    assert public_name("https://me:pw@host:8/a/b.tar?sig=x") == "https://host:8/a/b.tar?..."
    assert public_name("/a/b?c.tar") == "/a/b?c.tar"
