from prefect import flow


@flow(name="nightly")
def first() -> None: ...


@flow(name="nightly")
def second() -> None: ...
