from typing import List

from controller import flow, task


@task
def add_numbers(nums):
    return sum(nums)


@flow(name="Addition Machine")
def calculator(nums: List[int]) -> int:
    return add_numbers(nums)
