"""From one projection to another: panoramas to views and back, turned panoramas, cubemaps and fisheye images."""

__all__: list[str] = []
