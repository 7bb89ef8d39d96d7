from typing import List


def calculator(nums: List[int]) -> int:
    return sum(nums)
