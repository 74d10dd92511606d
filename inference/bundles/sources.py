"""The sets of images that networks of the shipped bundles were trained on, as a licence must name them."""

from inference.bundles.bundle_folder import Source

GLIOMA_FLAIR = Source(
    described="They were trained on FLAIR slices of The Cancer Genome Atlas Low Grade Glioma collection (TCGA-LGG, The "
    'Cancer Imaging\nArchive) as prepared and published with masks by Buda, Saha and Mazurowski ("kaggle_3m"). The '
    "licence of that prepared\ncopy is unconfirmed; before any use beyond research, settle it with its publishers.",
    citations=(
        "Buda M, Saha A, Mazurowski MA. Comput Biol Med 109 (2019) 218-225.",
        "Mazurowski MA et al. J Neurooncol 133 (2017) 27-35.",
        "Pedano N et al. The Cancer Genome Atlas Low Grade Glioma Collection (TCGA-LGG). The Cancer Imaging Archive.",
    ),
    cautions=(
        "Anything but low-grade glioma on FLAIR: it has never seen stroke, metastasis, demyelination, haemorrhage, a "
        "child, or a head without the other patients' disease. "
        '"None" means "no glioma of the kind it was trained on".',
        "The patients are few, and their masks sometimes include sinus or orbit.",
    ),
)

BRAIN_TUMOUR_T1CE = Source(
    described="They were trained on T1-weighted slices with a tumour of BRISC 2025 (Fateh et al.), which gathers older "
    "public sets.\nThe licence of the copy used is unconfirmed; before any use beyond research, settle it with its "
    "publishers.",
    citations=("Fateh A et al. BRISC. arXiv 2506.14318 (2025).",),
    cautions=(
        "A head without a tumour, or with anything but glioma, meningioma or pituitary tumour: it always names one of "
        "the three.",
        "The slices have no patients and no series: groups are sets of near copies, and plane and place of a tumour "
        "give its class away.",
    ),
)
