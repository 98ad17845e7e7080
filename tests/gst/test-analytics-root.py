#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The plugin with GstAnalytics on a machine whose own GStreamer is too old for
# it; see newer_root.py.
#
# test-analytics-root.py: prints TAP.
import sys

import newer_root

sys.exit(newer_root.Root("1.26").check(
    "gstreamer-analytics-1.0", "build", ["-Danalytics=enabled"],
    ["analytics", "analytics-elements", "analytics-later"]))
