"""The check that a backbone makes of the weights that are loaded into it."""

from typing import TYPE_CHECKING, Dict

from torch import Tensor

from .family import family_of
from .weights import check_block_layers, check_kernel_sizes, report_new_attention

if TYPE_CHECKING:
    from mmengine.model import BaseModule as _Base
else:
    _Base = object


class CheckedWeights(_Base):
    """Mixin for backbones that refuse weights of another network; comes before mmdet's class."""

    def check_weights(self, state_dict: Dict[str, Tensor], prefix: str = '') -> None:
        """Refuse weights of another network.

        mmengine loads pretrained weights non-strictly: it warns of a tensor that does not fit
        and trains without it. Another attention, other kernel sizes and a file without any
        matching name are errors here. The weights of a plain network fit every attention,
        which then keeps its initial values.

        Args:
            state_dict: The tensors to load.
            prefix: The prefix of the backbone's names in it.

        Raises:
            ValueError: If the weights are of another network.
        """
        names, family = self.state_dict(keep_vars=True), family_of(self)
        check_kernel_sizes(names, state_dict, family, prefix)
        check_block_layers(names, state_dict, family, prefix)
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
            report_new_attention(own, state_dict, family_of(self), prefix, self.frozen_stages)
        super()._load_from_state_dict(state_dict, prefix, *args)
