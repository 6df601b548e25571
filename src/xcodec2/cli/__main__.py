"""`python -m xcodec2.cli`, the same as the command `xcodec2`."""

from . import main

main()
