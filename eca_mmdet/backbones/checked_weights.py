"""Backbones that refuse weights of another network."""

from typing import Dict

from torch import Tensor

from .weights import check_block_layers, check_kernel_sizes, report_new_attention


class CheckedWeights:
    """Put before mmdet's class among the bases of a backbone; checks what is loaded into it."""

    def check_weights(self, state_dict: Dict[str, Tensor], prefix: str = '') -> None:
        """Refuse weights of another network.

        mmengine loads pretrained weights non-strictly: it warns of a tensor that does not
        fit and trains on without it. Another attention or other kernel sizes mean other
        weights, and not one matching name means another naming, so these are errors here.
        A plain network fits every attention, which then starts at its initial values.

        Args:
            state_dict: The tensors to load.
            prefix: What stands before the backbone's names in it.

        Raises:
            ValueError: In these cases.
        """
        names = self.state_dict(keep_vars=True)
        check_kernel_sizes(names, state_dict, prefix)
        check_block_layers(names, state_dict, prefix)
        if not prefix and not any(key in names for key in state_dict):
            raise ValueError(
                f'none of the {len(names)} tensors of {type(self).__name__} is in the checkpoint, whose '
                f'names start like {sorted(state_dict)[:3]}; convert it with tools/convert_weights.py, or '
                "name the part to load with init_cfg=dict(..., prefix='backbone.')"
            )

    def _load_from_state_dict(self, state_dict: Dict[str, Tensor], prefix: str, *args) -> None:
        self.check_weights(state_dict, prefix)
        own = self.state_dict(keep_vars=True)
        if not any(value.is_meta for value in own.values()):  # else nothing is loaded, only tried
            report_new_attention(own, state_dict, prefix, self.frozen_stages)
        super()._load_from_state_dict(state_dict, prefix, *args)
