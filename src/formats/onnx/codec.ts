/** Messages of the format as bytes, by its table. The library's own reflection would take 90 ms to load. */

import { BinaryReader, BinaryWriter, WireType } from "npm:@bufbuild/protobuf@2.17.0/wire";
import { MESSAGES, PACKED, type Proto, type ProtoInit, type Scalars } from "./schema.ts";

type Name = keyof typeof MESSAGES;
type Content = Record<string, unknown>;

interface Field {
  readonly name: string;
  readonly number: number;
  readonly type: keyof Scalars | Name;
  readonly isRepeated: boolean;
}

/** How bytes hold each scalar; unset ones are read as their default. */
const SCALARS: { readonly [Type in keyof Scalars]: readonly [WireType, unknown] } = {
  int32: [WireType.Varint, 0],
  int64: [WireType.Varint, 0n],
  float: [WireType.Bit32, 0],
  double: [WireType.Bit64, 0],
  string: [WireType.LengthDelimited, ""],
  bytes: [WireType.LengthDelimited, new Uint8Array()],
};

function isScalar(type: string): type is keyof Scalars {
  return type in SCALARS;
}

const FIELDS = Object.fromEntries(
  Object.entries<Readonly<Record<string, readonly [number, string]>>>(MESSAGES).map(
    ([message, fields]) => [
      message,
      Object.entries(fields).map(([name, [number, declared]]): Field => ({
        ...{ name, number, isRepeated: declared.endsWith("[]") },
        type: declared.replace("[]", "") as Field["type"],
      })),
    ],
  ),
) as unknown as Readonly<Record<Name, readonly Field[]>>;

/** Reads a message; fields of none of the table's numbers are skipped.
 *
 * @param maxDepth Messages within each other, at most.
 * @throws {Error} If the bytes are none.
 */
export function decodeMessage<Type extends Name>(
  message: Type,
  bytes: Uint8Array,
  maxDepth: number,
): Proto<Type> {
  return readMessage(message, new BinaryReader(bytes), { depth: maxDepth }) as Proto<Type>;
}

/** Writes a message. */
export function encodeMessage<Type extends Name>(
  message: Type,
  content: ProtoInit<Type>,
): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter();
  writeMessage(message, writer, content as Content);
  return writer.finish();
}

function emptyMessage(message: Name): Content {
  return Object.fromEntries(
    FIELDS[message].map(({ name, type, isRepeated }) => [
      name,
      isRepeated ? [] : isScalar(type) ? SCALARS[type][1] : undefined,
    ]),
  );
}

/** @param into What came of the message before: later parts of one add to it. */
function readMessage(
  message: Name,
  reader: BinaryReader,
  { depth, into = emptyMessage(message) }: { readonly depth: number; readonly into?: Content },
): Content {
  if (depth < 0) throw new Error("its messages are nested too deeply");
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    const field = FIELDS[message].find((field) => field.number === number);
    if (field === undefined) reader.skip(wireType, number, depth);
    else readField(field, reader, { wireType, depth, into });
  }
  return into;
}

function readField(
  { name, type, isRepeated }: Field,
  reader: BinaryReader,
  { wireType, depth, into }: {
    readonly wireType: WireType;
    readonly depth: number;
    readonly into: Content;
  },
): void {
  const list = into[name] as unknown[];
  const expected = isScalar(type) ? SCALARS[type][0] : WireType.LengthDelimited;
  const isPacked = wireType === WireType.LengthDelimited && wireType !== expected && isRepeated;
  if (wireType !== expected && !isPacked) throw new Error(`its ${name} is of another type`);
  if (!isScalar(type)) {
    const content = new BinaryReader(reader.bytes());
    const before = isRepeated ? undefined : into[name] as Content | undefined;
    const value = readMessage(type, content, { depth: depth - 1, into: before });
    if (isRepeated) list.push(value);
    else into[name] = value;
  } else if (isPacked) {
    const packed = new BinaryReader(reader.bytes());
    while (packed.pos < packed.len) list.push(packed[type]());
  } else if (isRepeated) {
    list.push(reader[type]());
  } else {
    into[name] = reader[type]();
  }
}

function writeMessage(message: Name, writer: BinaryWriter, content: Content): void {
  for (const { name, number, type, isRepeated } of FIELDS[message]) {
    const value = content[name];
    if (value === undefined) continue;
    const values = isRepeated ? value as readonly unknown[] : [value];
    if (!isScalar(type)) {
      for (const each of values) {
        writer.tag(number, WireType.LengthDelimited).fork();
        writeMessage(type, writer, each as Content);
        writer.join();
      }
    } else if (PACKED.includes(name)) {
      if (values.length === 0) continue;
      writer.tag(number, WireType.LengthDelimited).fork();
      for (const each of values) writer[type](each as never);
      writer.join();
    } else {
      for (const each of values) writer.tag(number, SCALARS[type][0])[type](each as never);
    }
  }
}
