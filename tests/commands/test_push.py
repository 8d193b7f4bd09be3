from typer.testing import CliRunner

from gsv2.cli import app


def test_a_bundle_is_published_with_its_licence(tiny_bundle, tmp_path):
    out = tmp_path / "published"
    result = CliRunner().invoke(app, ["push", str(tiny_bundle), str(out), "--licence", "mit"])
    assert result.exit_code == 0, result.output
    assert 'license: "mit"' in (out / "README.md").read_text()


def test_what_is_no_bundle_is_one_line(tmp_path):
    result = CliRunner().invoke(app, ["push", str(tmp_path), str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "is not a bundle" in result.stderr
