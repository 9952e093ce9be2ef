/** The schema of ONNX for protobuf's own library, which writes and reads files beside `formats/onnx`. */

import { create, createFileRegistry, type Message } from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import {
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import { MESSAGES, PACKED, type Scalars } from "../src/formats/onnx/schema.ts";

type Messages = typeof MESSAGES;

type Value<Type> = Type extends keyof Scalars ? Scalars[Type]
  : Type extends keyof Messages ? MessageOf<Type>
  : never;

/** A message with the name of its type, as the library has it. */
export type MessageOf<Name extends keyof Messages> =
  & Message<`onnx.${Name}`>
  & {
    -readonly [Field in keyof Messages[Name]]: Messages[Name][Field] extends
      readonly [number, infer Type] ? Type extends `${infer Each}[]` ? Value<Each>[]
      : Type extends keyof Scalars ? Scalars[Type]
      : Value<Type> | undefined
      : never;
  };

const SCALARS: Readonly<Record<keyof Scalars, Type>> = {
  int32: Type.INT32,
  int64: Type.INT64,
  float: Type.FLOAT,
  double: Type.DOUBLE,
  string: Type.STRING,
  bytes: Type.BYTES,
};

/** The schema of a file. */
export const ModelProtoSchema = modelSchema();

function modelSchema(): GenMessage<MessageOf<"ModelProto">> {
  const file = create(FileDescriptorProtoSchema, {
    name: "onnx.proto",
    package: "onnx",
    syntax: "proto2",
    messageType: Object.entries(MESSAGES).map(([name, fields]) => ({
      name,
      field: Object.entries<readonly [number, string]>(fields).map(
        ([fieldName, [number, declared]]) => {
          const repeated = declared.endsWith("[]");
          const type = declared.replace("[]", "");
          const scalar = SCALARS[type as keyof Scalars];
          return {
            name: fieldName,
            number,
            label: repeated ? Label.REPEATED : Label.OPTIONAL,
            type: scalar ?? Type.MESSAGE,
            ...(scalar === undefined && { typeName: `.onnx.${type}` }),
            ...(PACKED.includes(fieldName) && { options: { packed: true } }),
          };
        },
      ),
    })),
  });
  const registry = createFileRegistry(file, () => undefined);
  return registry.getMessage("onnx.ModelProto") as unknown as GenMessage<MessageOf<"ModelProto">>;
}
