/** Labelled images as bytes, the form in which every backend takes its data. */

/** Images and their labels, decoded.
 *
 * Shapes: images [count, channels, height, width], one byte a pixel (0..255); labels [count],
 * each in 0..classNames.length - 1 of the dataset it belongs to.
 */
export interface LabeledImages {
  /** Pixels, 0..255. */
  readonly images: Uint8Array;
  /** One class a picture. */
  readonly labels: Uint8Array;
  /** Number of images. */
  readonly count: number;
  /** Shape of one image: [channels, height, width]. */
  readonly shape: readonly [channels: number, height: number, width: number];
  /** The file that each image was read from, relative to the dataset's folder; left out where images
   * have no files of their own.
   */
  readonly names?: readonly string[];
}

/** A training set and a test set over the same classes. */
export interface Dataset {
  /** Registry name (`fashion-mnist`) or the folder it was read from. */
  readonly name: string;
  /** One name per class, in label order. */
  readonly classNames: readonly string[];
  /** What to train on. */
  readonly train: LabeledImages;
  /** What to choose by: the best epoch, a sweep's best run; left out where nothing was set apart. */
  readonly validation?: LabeledImages;
  /** What to evaluate on. */
  readonly test: LabeledImages;
  /** SHA-256 over the content of training and test set, lower-case hexadecimal. */
  readonly digest: string;
  /** What became of the pictures, where it was read from a folder of them. */
  readonly pictures?: PictureFacts;
  /** Whether rows and columns of the images of IDX files were swapped; left out where not. */
  readonly transposed?: true;
  /** What reading it left out, took for something or missed, a sentence each, for the user to know. */
  readonly notes?: readonly string[];
}

/** How a model is to take pictures: as its training did. */
export interface PicturePolarity {
  /** Whether light and dark of the pictures were swapped. */
  readonly invert: boolean;
  /** Whether most of them were dark on light all the same: such pictures are what the model knows. */
  readonly darkOnLight: boolean;
  /** Share of an image's side that what it shows takes, where that was one thing on black in all of
   * them, as in MNIST: then predicting looks for the thing in a photo. 0 or left out where not.
   */
  readonly objectShare?: number;
  /** Whether some of the pictures that a colour model was trained on had one channel: it takes such;
   * left out where not.
   */
  readonly hasGrey?: true;
}

/** How pictures were made into a dataset: what is needed to do it again. */
export interface PictureFacts extends PicturePolarity {
  /** Share of each class that became the test set; left out where the folder has one of its own. */
  readonly testSplit?: number;
  /** Files that could not be read, where they were to be left out: all of them, by name. */
  readonly unreadable?: readonly UnreadablePicture[];
}

/** A picture that cannot be read. */
export interface UnreadablePicture {
  /** Its file, relative to the dataset's folder. */
  readonly name: string;
  /** Why it cannot be read. */
  readonly reason: string;
}

/** The images of a set from one number up to, but not including, another; shares its memory. */
export function sliceImages<Data extends LabeledImages>(
  data: Data,
  start: number,
  end: number,
): Data {
  const imageSize = data.images.length / data.count;
  return {
    ...data,
    images: data.images.subarray(start * imageSize, end * imageSize),
    labels: data.labels.subarray(start, end),
    ...(data.names && { names: data.names.slice(start, end) }),
    count: end - start,
  };
}
