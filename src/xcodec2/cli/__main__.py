"""`python -m xcodec2.cli`, the same as the command `xcodec2`."""

from xcodec2.cli import main

main()
