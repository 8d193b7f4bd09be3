import torch

from gsv2.training.distributed.collectives import stack_over_ranks, sum_over_ranks


def test_one_process_keeps_its_own() -> None:
    tensor = torch.arange(6).view(2, 3)
    assert torch.equal(sum_over_ranks(tensor), tensor)
    assert torch.equal(stack_over_ranks(tensor), tensor[None])


def test_ranks_are_summed_and_stacked_in_order(tmp_path) -> None:
    torch.multiprocessing.spawn(_two_ranks, args=(str(tmp_path / "store"),), nprocs=2)


def _two_ranks(rank: int, store: str) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=2
    )
    mine = torch.tensor([1.0, 2.0]) * (10 if rank else 1)
    assert sum_over_ranks(mine).tolist() == [11.0, 22.0]
    assert stack_over_ranks(mine).tolist() == [[1.0, 2.0], [10.0, 20.0]]
    assert stack_over_ranks(mine > 5).tolist() == [[False, False], [True, True]]
    assert mine[0] == (10.0 if rank else 1.0)
    torch.distributed.destroy_process_group()
