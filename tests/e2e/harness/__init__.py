# SPDX-License-Identifier: MIT
"""What the end-to-end tests stand on: processes, relays and clients, raw wire, applications, network namespaces."""
