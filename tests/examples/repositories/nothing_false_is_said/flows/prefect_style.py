from prefect import flow, task


@task
def helper(x: int) -> int:
    return x


@flow(name="My Flow", retries=3, log_prints=True)
async def my_flow(a: int, b: list[str] | None = None) -> None: ...


@flow(validate_parameters=False)
def unchecked(a: int) -> None: ...
