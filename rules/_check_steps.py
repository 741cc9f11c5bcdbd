def check_steps(**steps: int) -> None:
    """Raises a `ValueError` naming the first argument that is no positive whole number."""
    for name, number in steps.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ValueError(f"`{name}` must be a positive whole number, got {number!r}.")
