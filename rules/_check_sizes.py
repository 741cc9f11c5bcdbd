def check_sizes(**sizes: int) -> None:
    """Raises a `ValueError` naming the first argument that is no positive whole number."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"`{name}` must be a positive whole number, got {size!r}.")
