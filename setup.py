"""One distribution, two packages: `ssd_depth_core` (no ROS) and `ssd_depth_ros` (the node)."""

from glob import glob

from setuptools import find_packages, setup

PACKAGE = 'ssd_depth_ros'
SHARE = f'share/{PACKAGE}'

# opencv 5 renumbers its image types, which breaks cv_bridge.
OPENCV = 'opencv-python-headless<5'

EXTRAS = {
    # Decode, resize and run the network where there is no GPU.
    'runtime': [OPENCV, 'onnxruntime'],
    # Faster than ONNX Runtime on x86; taken first where it is installed.
    'openvino': ['openvino'],
    # On an NVIDIA GPU; TensorRT itself is JetPack's or NVIDIA's package. onnx joins what comes
    # before and after a network to its graph, when an engine is built.
    'tensorrt': [OPENCV, 'onnx'],
    # The same for RTX PCs, whose TensorRT comes from the registry.
    'tensorrt-rtx': [OPENCV, 'onnx', 'tensorrt-rtx'],
    # Read and write bags without a ROS installation.
    'bags': ['rosbags', OPENCV],
    'train': [
        'torch==2.13.0',
        # Each torchvision fits exactly one torch, and timm imports it.
        'torchvision==0.28.0',
        # Encoders; a release renames networks now and then.
        'timm==1.0.31',
        # The one loop on one or many GPUs.
        'accelerate',
        # Checkpoints without pickles.
        'safetensors',
        # Weights that others trained.
        'huggingface-hub',
        'tqdm',
        # Curves and pictures of a training. torch writes their files through it, and its builds
        # follow protobuf's, which the exporters share.
        'tensorboard==2.21.0',
        # Plots of an evaluation's page.
        'matplotlib',
        OPENCV,
    ],
    # Make night and rain out of clear days. diffusers: Stable Diffusion, ControlNet, IP-Adapter;
    # transformers: captions and depth; peft: few-step LoRAs. From Python 3.11 on, where they share
    # a hub client.
    'gdt': ['diffusers==0.42.1', 'transformers', 'peft'],
    # Adapting a vision transformer to one robot's camera by low-rank adapters.
    'adapters': ['peft'],
    # Translation over many processes and machines.
    'ray': ['ray[data]'],
    # Patches of one look, where the mask of the student judges these and not pixels.
    'segments': ['scikit-image'],
    # onnxscript is what torch's exporter is built on; onnxruntime measures parity.
    'export': ['onnx', 'onnxscript', 'onnxruntime'],
    # Networks in 8 bits.
    'int8': ['nncf==3.4.0', 'onnx', 'onnxruntime', 'openvino'],
    # Jazzy's rclpy and messages from the Python registry, for machines without ROS. Unpinned they
    # are another distribution's.
    'ros-wheels': [
        'ros-rclpy[fastrtps]==7.1.6',
        'ros-sensor-msgs==5.3.6',
        'ros-diagnostic-msgs==5.3.6',
        'ros-std-srvs==5.3.6',
    ],
    'test': [
        'pytest',
        'ruff',
        'mypy',
        'pydoclint',
        'colcon-common-extensions',
        'setuptools<80',
        # The reference that conversions of Depth Anything and DINOv2 are measured with.
        'transformers',
    ],
}

setup(
    name=PACKAGE,
    version='0.1.0',
    description='Monocular metric depth that works at night and in rain',
    license='Apache-2.0',
    python_requires='>=3.10',
    # An explicit list: excluding `test` would still install `training` and `bench`.
    packages=find_packages(
        include=['ssd_depth_ros', 'ssd_depth_ros.*', 'ssd_depth_core', 'ssd_depth_core.*']
    ),
    package_data={
        'ssd_depth_core': [
            'data/*.json',
            'synthdrive/rigs/*.yaml',
            'weights/*.json',
            'weights/*.npz',
            'weights/*.onnx',
        ]
    },
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (SHARE, ['package.xml']),
        (f'{SHARE}/launch', glob('launch/*.launch.py')),
        (f'{SHARE}/config', glob('config/ros/*.yaml')),
        (f'{SHARE}/config/dds', glob('config/dds/*')),
        (f'{SHARE}/rviz', glob('rviz/*')),
    ],
    # pyyaml: config files. Everything else belongs to a layer that a robot may do without.
    install_requires=['numpy', 'pyyaml'],
    extras_require=EXTRAS,
    entry_points={
        'console_scripts': [
            'depth_node = ssd_depth_ros.depth_node:main',
            'depth_replay = ssd_depth_ros.replay:main',
            'depth_demo = ssd_depth_ros.demo:main',
            'depth_build_engine = ssd_depth_core.runtime.build_engine:main',
            'depth_predict = ssd_depth_core.runtime.predict:main',
            'depth_bag = ssd_depth_core.bags.offline:main',
            'depth_convert_nuscenes = ssd_depth_core.bags.nuscenes_to_bag:main',
        ],
    },
    zip_safe=False,
)
