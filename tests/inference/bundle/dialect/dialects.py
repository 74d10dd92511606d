# ruff: noqa: E501
"""Small configurations in MONAI's dialect, one for what each bundle of MONAI's model zoo writes in its own way."""

from dataclasses import dataclass

UNET = """
network_def: {_target_: UNet, spatial_dims: 2, in_channels: 1, out_channels: 2, channels: [2, 4], strides: [2]}
"""
UNET_3D = UNET.replace("spatial_dims: 2", "spatial_dims: 3")
COMMON = """
imports: [$import glob, $import os, $import torch]
bundle_root: .
image_key: image
output_dir: $@bundle_root + '/eval'
datalist: $list(sorted(glob.glob('/data/*.nii.gz')))
device: "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')"
network: $@network_def.to(@device)
"""
READ_3D = """
    - {_target_: LoadImaged, keys: '@image_key'}
    - {_target_: EnsureChannelFirstd, keys: '@image_key'}
"""
CT = f"""
preprocessing:
  _target_: Compose
  transforms:{READ_3D}
    - {{_target_: Orientationd, keys: '@image_key', axcodes: RAS}}
    - {{_target_: Spacingd, keys: '@image_key', pixdim: [1.5, 1.5, 2.0], mode: bilinear}}
    - {{_target_: ScaleIntensityRanged, keys: '@image_key', a_min: -57, a_max: 164, b_min: 0, b_max: 1, clip: true}}
    - {{_target_: EnsureTyped, keys: '@image_key'}}
"""
SOFTMAX = """
postprocessing:
  _target_: Compose
  transforms:
    - {_target_: Activationsd, keys: pred, softmax: true}
    - {_target_: SaveImaged, keys: pred, output_dir: '@output_dir', output_dtype: $numpy.float32}
"""


@dataclass(frozen=True)
class Dialect:
    """One configuration and what becomes of it."""

    text: str
    shape: tuple[int, ...] = (12, 10, 8)
    """Of the image as a reader gives it."""
    values: tuple[str, ...] = ()
    """Ids whose values are compared with MONAI's."""
    refused: tuple[str, ...] = ()
    """Keys that are objected to; empty where everything resolves."""
    activation: str = ""
    only_ours: bool = False
    """MONAI 1.6 does not build it."""


RESOLVING = {
    "spleen_ct_segmentation": Dialect(COMMON + UNET_3D + CT + SOFTMAX, activation="softmax", values=("output_dir",)),
    "brats_mri_segmentation": Dialect(
        COMMON
        + """
network_def: {_target_: SegResNet, init_filters: 8, in_channels: 4, out_channels: 3, blocks_down: [1, 1], blocks_up: [1]}
preprocessing:
  _target_: Compose
  transforms:
    - {_target_: LoadImaged, keys: '@image_key', image_only: false}
    - {_target_: NormalizeIntensityd, keys: '@image_key', nonzero: true, channel_wise: true}
postprocessing:
  _target_: Compose
  transforms:
    - {_target_: Activationsd, keys: pred, sigmoid: true}
    - {_target_: Lambdad, keys: pred, func: '$lambda x: torch.where(x[[2]] > 0, 4, torch.where(x[[0]] > 0, 1, 0))'}
inferer: {_target_: SlidingWindowInferer, roi_size: [24, 24, 16], sw_batch_size: 1, overlap: 0.5}
""",
        shape=(4, 8, 8, 8),
        activation="sigmoid",
    ),
    "breast_density_classification": Dialect(
        """
import: [$import glob, $import torchvision]
data: {_target_: scripts.createList.CreateImageLabelList, filename: ./configs/a.json}
test_imagelist: "$@data.create_dataset('Test')[0]"
network_def: {_target_: DenseNet, spatial_dims: 2, in_channels: 3, out_channels: 4, init_features: 4, growth_rate: 2, block_config: [1, 1]}
network: $@network_def.to(@device)
preprocessing:
  _target_: Compose
  transforms:
    - {_target_: LoadImaged, keys: image}
    - {_target_: EnsureChannelFirstd, keys: image, channel_dim: 2}
    - {_target_: ScaleIntensityd, keys: image, minv: 0.0, maxv: 1.0}
    - {_target_: Resized, keys: image, spatial_size: [29, 29]}
inferer: {_target_: SimpleInferer}
postprocessing: {_target_: Compose, transforms: [{_target_: Activationsd, keys: pred, sigmoid: true}]}
""",
        shape=(20, 16, 3),
        activation="sigmoid",
    ),
    "classification_template": Dialect(
        """
imports: [$import os, $import json]
image: $monai.utils.CommonKeys.IMAGE
label: $monai.utils.CommonKeys.LABEL
pred: $monai.utils.CommonKeys.PRED
num_classes: 4  # which the network should predict
network_def: {_target_: DenseNet, spatial_dims: 2, in_channels: 1, out_channels: '@num_classes', init_features: 4, growth_rate: 2, block_config: [1, 1]}
test_fp: "$open('labels.json', 'r', encoding='utf8')"
transforms:
- _target_: LoadImaged
  keys: '@image'
- _target_: EnsureChannelFirstd
  keys: '@image'
- _target_: ScaleIntensityd
  keys: '@image'
preprocessing:
  _target_: Compose
  transforms: $@transforms
postprocessing:
  _target_: Compose
  transforms:
  - {_target_: Activationsd, keys: '@pred', softmax: true}
  - {_target_: AsDiscreted, keys: ['@pred', '@label'], argmax: [true, false], to_onehot: '@num_classes'}
val_handlers:
- {_target_: CheckpointLoader, _disabled_: $not os.path.exists(@ckpt_path)}
""",
        shape=(20, 16),
        values=("image", "label", "pred"),
        activation="softmax",
    ),
    "endoscopic_inbody_classification": Dialect(
        COMMON
        + """
network_def: {_target_: SENet, spatial_dims: 2, in_channels: 3, block: se_bottleneck, layers: [1, 1, 1, 1], groups: 1, reduction: 16, num_classes: 2, dropout_prob: null, inplanes: 64, downsample_kernel_size: 1, input_3x3: false}
preprocessing:
  _target_: Compose
  transforms:
    - {_target_: LoadImaged, keys: '@image_key', image_only: false}
    - {_target_: EnsureChannelFirstd, keys: '@image_key', channel_dim: -1}
    - {_target_: Resized, keys: '@image_key', spatial_size: [25, 25], mode: bilinear}
    - {_target_: CastToTyped, dtype: $torch.float32, keys: '@image_key'}
    - {_target_: NormalizeIntensityd, nonzero: true, channel_wise: true, keys: '@image_key'}
    - {_target_: EnsureTyped, keys: '@image_key'}
postprocessing: {_target_: Compose, transforms: [{_target_: AsDiscreted, argmax: true, to_onehot: 2, keys: [pred]}]}
""",
        shape=(20, 16, 3),
    ),
    "endoscopic_tool_segmentation": Dialect(
        COMMON
        + """
network_def: {_target_: FlexibleUNet, in_channels: 3, out_channels: 2, backbone: efficientnet-b0, spatial_dims: 2, pretrained: false, is_pad: false, pre_conv: null}
preprocessing:
  _target_: Compose
  transforms:
    - {_target_: LoadImaged, keys: '@image_key', image_only: false}
    - {_target_: EnsureChannelFirstd, keys: '@image_key', channel_dim: -1}
    - {_target_: Resized, keys: ['@image_key'], spatial_size: [32, 24], mode: [bilinear]}
    - {_target_: ScaleIntensityd, keys: ['@image_key']}
postprocessing: {_target_: Compose, transforms: [{_target_: Lambdad, keys: [pred], func: '$lambda x : x[1:]'}]}
""",
        shape=(20, 16, 3),
    ),
    "pathology_tumor_detection": Dialect(
        UNET
        + """
datalist: {_target_: CSVDataset, transform: {_target_: Lambdad, keys: image, func: "$lambda x: os.path.join(x + '.tif')"}}
preprocessing:
  _target_: Compose
  transforms:
    - {_target_: CastToTyped, keys: image, dtype: float32}
    - {_target_: ScaleIntensityRanged, keys: image, a_min: 0.0, a_max: 255.0, b_min: -1.0, b_max: 1.0}
    - {_target_: ToTensord, keys: image}
postprocessing: {_target_: Compose, transforms: [{_target_: EnsureTyped, keys: pred}, {_target_: Activationsd, keys: pred, sigmoid: true}]}
""",
        shape=(3, 20, 16),
        activation="sigmoid",
    ),
    "pediatric_abdominal_ct_segmentation": Dialect(
        COMMON
        + f"""
spatial_size: [9, 9, 9]
spatial_dims: $len(@spatial_size)
labels: {{background: 0, liver: 1}}
network_def: {{_target_: monai.networks.nets.DynUNet, spatial_dims: '@spatial_dims', in_channels: 1, out_channels: 2, kernel_size: [3, 3, 3], strides: [1, 2, [2, 2, 1]], upsample_kernel_size: [2, [2, 2, 1]], norm_name: instance, deep_supervision: false, res_block: true, filters: [2, 4, 4]}}
preprocessing:
  _target_: Compose
  transforms:{READ_3D.replace("keys: '@image_key'}", "keys: '@image_key', reader: ITKReader}", 1)}
    - {{_target_: CropForegroundd, keys: ['@image_key'], source_key: '@image_key', mode: [minimum]}}
    - {{_target_: CastToTyped, keys: '@image_key', dtype: $torch.float32}}
""",
        values=("spatial_dims",),
    ),
    "prostate_mri_anatomy": Dialect(
        COMMON
        + UNET_3D
        + CT
        + "postprocessing: {_target_: Compose, transforms: [{_target_: AsDiscreted, keys: pred, argmax: true}]}\n"
    ),
    "segmentation_template": Dialect(
        UNET_3D
        + """
image: $monai.utils.CommonKeys.IMAGE
num_classes: 4
file_pattern: $@dataset_dir + '/img*.nii.gz'
data_dicts: "$[{@image: i} for i in @data_list]"
transforms:
- {_target_: LoadImaged, keys: '@image', image_only: true}
- {_target_: EnsureChannelFirstd, keys: '@image'}
- {_target_: ScaleIntensityd, keys: '@image'}
preprocessing: {_target_: Compose, transforms: $@transforms}
postprocessing: {_target_: Compose, transforms: [{_target_: Activationsd, keys: '@pred', softmax: true}, {_target_: SaveImaged, dtype: $None}]}
""",
        activation="softmax",
    ),
    "swin_unetr_btcv_segmentation": Dialect(
        COMMON
        + """
network_def: {_target_: SwinUNETR, spatial_dims: 3, img_size: 96, in_channels: 1, out_channels: 2, feature_size: 12, use_checkpoint: false}
"""
        + CT,
        only_ours=True,
    ),
    "ventricular_short_axis_3label": Dialect(
        COMMON
        + UNET
        + f"""
preprocessing:
  _target_: Compose
  transforms:{READ_3D}
    - {{_target_: ScaleIntensityd, keys: '@image_key'}}
    - {{_target_: EnsureTyped, keys: '@image_key', device: '@device'}}
inferer: {{_target_: SliceInferer, roi_size: [256, 256], spatial_dim: 2}}
"""
    ),
    "wholeBody_ct_segmentation": Dialect(
        COMMON
        + UNET_3D
        + f"""
displayable_configs: {{highres: true, sw_overlap: 0.25, sw_batch_size: 1}}
pixdim: '$[1.5, 1.5, 1.5] if @displayable_configs#highres else [3.0, 3.0, 3.0]'
modelname: "$'model.pt' if @displayable_configs#highres else 'model_lowres.pt'"
preprocessing:
  _target_: Compose
  transforms:{READ_3D}
    - {{_target_: Spacingd, keys: '@image_key', pixdim: '@pixdim', mode: bilinear}}
    - {{_target_: NormalizeIntensityd, keys: '@image_key', nonzero: true}}
    - {{_target_: ScaleIntensityd, keys: '@image_key', minv: -1.0, maxv: 1.0}}
inferer: {{_target_: SlidingWindowInferer, roi_size: [96, 96, 96], sw_batch_size: '@displayable_configs#sw_batch_size', overlap: '@displayable_configs#sw_overlap', padding_mode: replicate, mode: gaussian, device: "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')"}}
""",
        values=("pixdim", "modelname", "displayable_configs#sw_overlap"),
    ),
    "lung_nodule_ct_detection": Dialect(
        COMMON
        + """
whether_raw: false
whether_resampled: $(not @whether_raw)
network_def: "$monai.networks.nets.resnet.resnet10(spatial_dims=3,n_input_channels=1,conv1_t_stride=[2,2,1],conv1_t_size=[7,7,7],widen_factor=0.125)"
preprocessing:
  _target_: Compose
  transforms:
    - {_target_: LoadImaged, keys: '@image_key', _disabled_: '@whether_raw'}
    - {_target_: LoadImaged, keys: '@image_key', reader: itkreader, affine_lps_to_ras: true, _disabled_: '@whether_resampled'}
    - {_target_: EnsureChannelFirstd, keys: '@image_key'}
    - {_target_: Spacingd, keys: '@image_key', pixdim: [0.7, 0.7, 1.25], _disabled_: '@whether_resampled'}
    - {_target_: ScaleIntensityRanged, keys: '@image_key', a_min: -1024.0, a_max: 300.0, b_min: 0.0, b_max: 1.0, clip: true}
""",
        values=("whether_resampled",),
    ),
    "mednist_reg": Dialect(
        UNET
        + """
ckpt: "$@bundle_root + '/models/model.pt'"
image_load:
  - {_target_: LoadImage, image_only: True, ensure_channel_first: True}
  - {_target_: ScaleIntensityRange, a_min: 0.0, a_max: 255.0, b_min: 0.0, b_max: 1.0}
image_turn:
  - {_target_: Rotate, angle: $np.pi / 8, keep_size: True, mode: bilinear, padding_mode: border}
preprocessing: {_target_: Compose, transforms: "$@image_load + @image_turn"}
first_pair: $monai.utils.misc.first(@data_loader)
""",
        shape=(1, 16, 16),
    ),
    "pathology_nuclei_segmentation_classification": Dialect(
        UNET
        + """
patch_size: 256
out_size: 164
margin: '$((@patch_size - @out_size) // 2,) * 4'
overlap: $1.0 - float(@out_size) / float(@patch_size)
preprocessing:
  _target_: Compose
  transforms:
    - {_target_: LoadImaged, keys: image, reader: $monai.data.PILReader, converter: "$lambda x: x.convert('RGB')"}
    - {_target_: EnsureChannelFirstd, keys: image, channel_dim: -1}
    - {_target_: CastToTyped, keys: image, dtype: float32}
inferer: {_target_: SlidingWindowInferer, roi_size: '@patch_size', sw_batch_size: 16, overlap: '@overlap', progress: true}
postprocessing: {_target_: Compose, transforms: [{_target_: FlattenSubKeysd, keys: pred, sub_keys: $@sub_keys}]}
""",
        shape=(20, 16, 3),
        values=("margin", "overlap"),
    ),
    "renalStructures_CECT_segmentation": Dialect(
        UNET_3D
        + """
preprocessing:
  _target_: Compose
  transforms:
    - {_target_: LoadImaged, keys: [artery, vein], image_only: false}
    - {_target_: EnsureChannelFirstd, keys: [artery, vein]}
    - {_target_: ConcatItemsd, keys: [artery, vein], name: image}
    - {_target_: ScaleIntensityRanged, keys: image, a_min: -1000, a_max: 1000, b_min: 0.0, b_max: 1.0, clip: true}
postprocessing: {_target_: Compose, transforms: [{_target_: Activationsd, keys: pred, softmax: false, sigmoid: true}]}
""",
        activation="sigmoid",
    ),
    "spleen_deepedit_annotation": Dialect(
        COMMON
        + f"""
label_names: {{spleen: 1, background: 0}}
number_intensity_ch: 1
spatial_size: [8, 8, 8]
channels: $len(@label_names) + @number_intensity_ch
network_def: {{_target_: UNet, spatial_dims: 3, in_channels: '@channels', out_channels: $len(@label_names), channels: [2, 4], strides: [2]}}
reading:{READ_3D}
resizing:
    - {{_target_: Resized, keys: '@image_key', spatial_size: '@spatial_size', mode: area}}
extra:
    - {{_target_: EnsureTyped, keys: '@image_key'}}
preprocessing: {{_target_: Compose, transforms: $@reading + @resizing + @extra}}
""",
        values=("channels",),
    ),
    "valve_landmarks": Dialect(
        COMMON
        + UNET
        + """
preprocessing:
  _target_: Compose
  transforms:
    - {_target_: LoadImage, image_only: 'true'}
    - {_target_: EnsureType, device: '@device'}
    - {_target_: Transpose, indices: [2, 0, 1, 3]}
    - {_target_: ScaleIntensity}
""",
        shape=(6, 5, 4, 3),
    ),
    "vista3d": Dialect(
        COMMON
        + """
input_channels: 1
subclass: {'2': [14, 5], '21': '$list(range(33, 57)) + list(range(63, 98)) + [114, 120, 122]'}
network_def: $monai.networks.nets.BasicUNet(spatial_dims=3, in_channels=@input_channels, features=[2, 2, 2, 2, 2, 2])
preprocessing_transforms:
  - {_target_: LoadImaged, keys: '@image_key', image_only: true}
  - {_target_: EnsureChannelFirstd, keys: '@image_key'}
  - {_target_: CropForegroundd, keys: '@image_key', allow_smaller: true, margin: 1, source_key: '@image_key'}
preprocessing: {_target_: Compose, transforms: '$@preprocessing_transforms '}
postprocessing: {_target_: Compose, transforms: [{_target_: ToDeviced, keys: pred, device: cpu, _disabled_: true}, {_target_: Invertd, transform: $copy.deepcopy(@preprocessing)}]}
""",
        values=("subclass",),
    ),
    "pathology_nuclick_annotation": Dialect(
        UNET
        + """
preprocessing:
  _target_: Compose
  transforms:
    - {_target_: LoadImaged, keys: image, dtype: uint8, image_only: false}
    - {_target_: EnsureChannelFirstd, keys: image, channel_dim: -1}
    - {_target_: SqueezeDimd, keys: image}
""",
        shape=(20, 16, 1),
    ),
}
"""By the bundle of the zoo whose way of writing each follows."""

REFUSED = {
    "brats_mri_axial_slices_generative_diffusion": Dialect(
        UNET
        + """
loaded: $@network_def.load_old_state_dict(torch.load(@path))
path: model.pt
inferer: {_target_: scripts.ldm_sampler.LDMSampler, _requires_: '@loaded'}
""",
        refused=("preprocessing", "loaded", "inferer::_target_"),
    ),
    "brats_mri_generative_diffusion": Dialect(
        UNET
        + "inferer: {_target_: DiffusionInferer, scheduler: {_target_: monai.networks.schedulers.ddim.DDIMScheduler}}",
        refused=("preprocessing", "inferer::scheduler::_target_"),
    ),
    "maisi_ct_generative": Dialect(
        "autoencoder_def: {_target_: AutoencoderKL}\nrun: ['$@ldm_sampler.sample()']",
        refused=("network_def", "preprocessing"),
    ),
    "mednist_gan": Dialect(
        "latent_size: 64\nnetwork_def: {_target_: Generator, latent_shape: '@latent_size', start_shape: [2, 8, 8], channels: [2, 1], strides: [2, 1]}",
        refused=("preprocessing",),
    ),
    "multi_organ_segmentation": Dialect(
        """
arch_ckpt: "$torch.load(@arch_ckpt_path, map_location=torch.device('cuda'))"
arch_ckpt_path: ./models/search_code.pt
dints_space: {_target_: monai.networks.nets.TopologyInstance, num_blocks: 12, num_depths: 4, arch_code: ["$@arch_ckpt['a']"], device: "$torch.device('cuda')"}
network_def: {_target_: monai.networks.nets.DiNTS, dints_space: '@dints_space', in_channels: 1, num_classes: 8}
preprocessing: {_target_: Compose, transforms: []}
""",
        refused=("arch_ckpt",),
    ),
    "pancreas_ct_dints_segmentation": Dialect(
        """
arch_ckpt: {node_a: [1]}
network_def: {_target_: monai.networks.nets.DiNTS, dints_space: null, in_channels: 1, num_classes: 8, node_a: "$torch.from_numpy(@arch_ckpt['node_a'])"}
preprocessing: {_target_: Compose, transforms: []}
""",
        refused=("network_def::node_a",),
    ),
    "pathology_nuclei_classification": Dialect(
        UNET
        + "preprocessing: {_target_: Compose, transforms: [{_target_: AddLabelAsGuidanced, keys: image, source: label}]}",
        refused=("preprocessing::transforms::0::_target_",),
    ),
    "renalStructures_UNEST_segmentation": Dialect(
        "network_def: {_target_: scripts.networks.unest.UNesT, in_channels: 1}\npreprocessing: {_target_: ScaleIntensity}",
        refused=("network_def::_target_",),
    ),
    "vista2d": Dialect(
        UNET
        + "steps: [{_target_: scripts.components.LoadTiffd, keys: image}]\npreprocessing: {_target_: Compose, transforms: '$@steps '}",
        refused=("steps::0::_target_",),
    ),
    "wholeBrainSeg_Large_UNEST_segmentation": Dialect(
        "network_def: {_target_: scripts.networks.unest.UNesT}\npreprocessing: {_target_: RandAffine, prob: 1.0}",
        refused=("network_def::_target_", "preprocessing::_target_"),
    ),
}
