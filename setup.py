"""The compiled part, which is optional: where it cannot be built, plain Python does its work.

Everything else about the package is in pyproject.toml.
"""

import sys
from glob import glob

from setuptools import Extension, setup

SOURCES = sorted(glob("dimos_record/bus/native/*.c"))
HEADERS = sorted(glob("dimos_record/bus/native/*.h"))

_LCM_NATIVE = Extension(
    "dimos_record.bus._lcm_native",
    SOURCES,
    depends=HEADERS,
    define_macros=[("_GNU_SOURCE", "1")],
    extra_compile_args=["-std=c11", "-fvisibility=hidden"],
    py_limited_api=True,
    optional=True,
)

setup(
    ext_modules=[_LCM_NATIVE] if sys.platform == "linux" else [],
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
