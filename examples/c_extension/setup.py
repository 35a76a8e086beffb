from setuptools import Extension, setup

import cbackprop

setup(ext_modules=[Extension("identify", ["identify.c"], include_dirs=[cbackprop.get_include()])])
