"""Where things are: positions that can be used, distances on the ellipsoid, and what is truly nearest."""

from __future__ import annotations
