"""A build of a corpus that `benchmarks.building` starts in any build of gsv2, when it is asked to.

    python -P _building_worker.py INPUT OUT WORKERS

For every line that it reads it builds the corpus anew, and prints what that took and what came of
it: `TURN {"wall_sec": ..., "clips": ...}`.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path


def main() -> None:
    """Build until nobody asks for another turn."""
    source, out, workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    spec = importlib.util.spec_from_file_location("build", Path("data_tools/build_shards.py"))
    assert spec is not None
    assert spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    sys.modules["build"] = build
    spec.loader.exec_module(build)
    if hasattr(build, "_write_page"):  # which builds of before do not make
        build._write_page = lambda out, sounds: None
    for _ in sys.stdin:
        shutil.rmtree(out, ignore_errors=True)
        start = time.perf_counter()
        with redirect_stdout(sys.stderr):
            build.main(source=source, source_format=build.Format.folder, out=out, workers=workers)
        wall_sec = time.perf_counter() - start
        clips = json.loads((out / "corpus.json").read_bytes())["shards"]
        answer = {"wall_sec": wall_sec, "clips": sum(entry["num_clips"] for entry in clips)}
        sys.stdout.write(f"TURN {json.dumps(answer)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
