"""The processes of one training: one for each GPU under torchrun, or this one alone."""
import os

import torch
import torch.distributed as distributed


class Group:
    def __init__(self, device):
        self.rank, self.size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.device = device
        if self.size > 1:
            if device == "cuda":
                self.device = f"cuda:{os.environ['LOCAL_RANK']}"
                torch.cuda.set_device(self.device)
            distributed.init_process_group("nccl" if device == "cuda" else "gloo")

    @property
    def leads(self):
        return self.rank == 0

    def agree(self, *numbers):
        """The first process's numbers, in all of them."""
        if self.size == 1:
            return numbers
        shared = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        distributed.broadcast(shared, 0)
        return shared.tolist()

    def average(self, gradients):
        """Every gradient becomes its mean over the processes, all of them in one exchange."""
        if self.size == 1:
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.size
        for gradient, mean in zip(gradients, flat.split([gradient.numel() for gradient in gradients])):
            gradient.copy_(mean.view_as(gradient))

    def close(self):
        if self.size > 1:
            distributed.destroy_process_group()
