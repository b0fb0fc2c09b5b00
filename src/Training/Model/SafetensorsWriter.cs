using System.Buffers.Binary;
using System.Text.Encodings.Web;
using System.Text.Json;
using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Model;

/// <summary>Writes tensors as one safetensors file, from any device, in slices, without a second copy of the weights.</summary>
internal static class SafetensorsWriter
{
    private const long Slice = 1L << 26;

    // Names are written as they are; the default encoder would escape '+' and non-ASCII needlessly.
    private static readonly JsonWriterOptions options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static void Write(Stream stream, KeyValuePair<string, Tensor>[] tensors)
    {
        WriteHeader(stream, tensors.Select(tensor => (tensor.Key, TypeOf(tensor.Value.dtype), tensor.Value.shape)));
        foreach (var (_, tensor) in tensors) Write(stream, tensor);
    }

    /// <summary>What stands before the weights, which follow back to back in this order.</summary>
    /// <param name="tensors">Names, the format's words for the types, and shapes.</param>
    public static void WriteHeader(Stream stream, IEnumerable<(string Name, string Type, long[] Shape)> tensors)
    {
        var header = Header(tensors);
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
        stream.Write(length);
        stream.Write(header);
    }

    private static byte[] Header(IEnumerable<(string Name, string Type, long[] Shape)> tensors)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, options))
        {
            json.WriteStartObject();
            json.WriteStartObject("__metadata__");
            json.WriteString("format", "pt");
            json.WriteEndObject();
            long offset = 0;
            foreach (var (name, type, shape) in tensors)
            {
                var end = offset + (shape.Aggregate(1L, (product, size) => product * size) * SafetensorsHeader.Width(type));
                json.WriteStartObject(name);
                json.WriteString("dtype", type);
                json.WriteStartArray("shape");
                foreach (var size in shape) json.WriteNumberValue(size);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(offset);
                json.WriteNumberValue(end);
                json.WriteEndArray();
                json.WriteEndObject();
                offset = end;
            }
            json.WriteEndObject();
        }
        // Spaces up to a multiple of eight, so that the weights are aligned when the file is mapped.
        while (buffer.Length % 8 != 0) buffer.WriteByte((byte)' ');
        return buffer.ToArray();
    }

    private static string TypeOf(ScalarType type) => type switch
    {
        ScalarType.Float32 => "F32",
        ScalarType.Int64 => "I64",
        _ => throw new ArgumentException($"Only fp32 and int64 are written, not {type}.", nameof(type)),
    };

    private static void Write(Stream stream, Tensor tensor)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var flat = tensor.contiguous().view(-1);
        for (long start = 0, count = flat.numel(); start < count; start += Slice)
        {
            stream.Write(flat.narrow(0, start, Math.Min(Slice, count - start)).cpu().bytes);
        }
    }
}
