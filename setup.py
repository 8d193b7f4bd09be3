"""What pyproject.toml cannot say: folders of a checkout that a wheel carries in `gsv2.shipped`."""

from __future__ import annotations

from setuptools import find_packages, setup

SHIPPED = {
    "configs": ["*/*.yaml"],
    "data_tools": ["*.py"],
    "launch": ["*.py", "*.sh", "*.sbatch", "*/*.json", "*/*.yaml"],
}
"""Folder of the checkout -> its files; without this table they would be packages of the top."""

setup(
    packages=[
        *find_packages(include=["gsv2", "gsv2.*"]),
        *(f"gsv2.shipped.{folder}" for folder in SHIPPED),
    ],
    package_dir={f"gsv2.shipped.{folder}": folder for folder in SHIPPED},
    package_data={
        "gsv2": ["py.typed"],
        "gsv2.evaluation": ["*.j2", "*.css", "weights/*"],
        "gsv2.hub": ["*.j2"],
        "gsv2.quickstart": ["*.j2"],
        "gsv2.serve": ["static/*"],
        **{f"gsv2.shipped.{folder}": files for folder, files in SHIPPED.items()},
    },
)
