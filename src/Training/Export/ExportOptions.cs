using System.Globalization;
using System.Text.Json;
using Gradus.Training.Gguf;
using Gradus.Training.Stages;

namespace Gradus.Training.Export;

/// <summary><c>export</c>: makes files of a model for other tools. They are listed and downloaded at <c>/v1/jobs/{id}/files</c>.</summary>
public sealed record ExportOptions : StageOptions
{
    public const string HuggingFace = "huggingface", Peft = "peft", OneFile = "gguf";

    private const long SmallestShard = 1 << 16, LargestShard = 1L << 42;

    private static readonly (string Word, long Bytes)[] units =
        [("KiB", 1L << 10), ("MiB", 1L << 20), ("GiB", 1L << 30), ("TiB", 1L << 40), ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000)];

    public override Artifact Makes => Artifact.None;

    /// <summary><c>model</c>: needed.</summary>
    public required StageReference Model { get; init; }

    /// <summary><c>format</c>: huggingface (safetensors with config, tokenizer, template and card; default), peft (an adapter by itself), gguf (one file for llama.cpp and Ollama).</summary>
    public required string Format { get; init; }

    /// <summary>
    /// <c>dtype</c>: of the weights. huggingface and peft: float32, float16 or bfloat16; default as they are stored, bit for bit. gguf: f32, f16, bf16, q8_0 or q4_0; default f16.
    /// </summary>
    public required string? Dtype { get; init; }

    /// <summary><c>max_shard_size</c>: of one file of weights, in bytes or as <c>"5GB"</c>, 65,536 bytes to 4 TiB; default 5GB (transformers 4's). huggingface alone.</summary>
    public required long MaxShardSize { get; init; }

    /// <summary><c>merge</c>: whether an adapter becomes part of its base's weights; default true, in peft false. A whole model has nothing to merge.</summary>
    public required bool Merge { get; init; }

    internal static ExportOptions Read(OptionReader reader)
    {
        var format = reader.Choice("format", HuggingFace, HuggingFace, Peft, OneFile);
        var merge = reader.Flag("merge", format != Peft);
        if (merge == (format == Peft))
        {
            throw OptionReader.Invalid(reader.At("merge"), merge
                ? $"'{reader.At("merge")}' is true, but the format peft is an adapter by itself; merged weights are exported as huggingface or gguf."
                : $"'{reader.At("merge")}' is false, but the format {format} holds whole models; an adapter by itself is exported as peft.");
        }
        var dtype = format == OneFile ? reader.Choice("dtype", "f16", "f32", "f16", "bf16", "q8_0", "q4_0")
            : reader.Has("dtype") ? reader.Choice("dtype", null, "float32", "float16", "bfloat16") : null;
        if (format != HuggingFace && reader.Has("max_shard_size")) throw OptionReader.Invalid(reader.At("max_shard_size"), $"'{reader.At("max_shard_size")}' is for the format huggingface alone: {format} is one file.");
        return new() { Model = reader.Reference("model", Artifact.Model), Format = format, Dtype = dtype, MaxShardSize = Size(reader, "max_shard_size"), Merge = merge };
    }

    /// <summary>Refuses a format that is not for such a model, before anything is queued.</summary>
    /// <exception cref="InvalidInputException">With the place of the option.</exception>
    public void Require(string folder)
    {
        if (Format == Peft && !Lora.Adapter.IsIn(folder)) throw new InvalidInputException("'options.format' is peft, but the model is no adapter: export it as huggingface or gguf.", "options.format");
        if (Format == OneFile && !Lora.Adapter.IsIn(folder)) GgufExport.Require(folder, "options.format");
    }

    private static long Size(OptionReader reader, string name)
    {
        if (reader.Element(name) is not { } value) return 5_000_000_000;
        double bytes = double.NaN;
        if (value.ValueKind == JsonValueKind.Number) value.TryGetDouble(out bytes);
        else if (value.ValueKind == JsonValueKind.String)
        {
            var text = value.GetString()!;
            var (word, unit) = units.FirstOrDefault(unit => text.EndsWith(unit.Word, StringComparison.OrdinalIgnoreCase));
            if (word is not null && double.TryParse(text[..^word.Length], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var count)) bytes = count * unit;
        }
        if (bytes is >= SmallestShard and <= LargestShard) return (long)bytes;
        throw OptionReader.Invalid(reader.At(name), $"'{reader.At(name)}' must be bytes from {SmallestShard} to {LargestShard}, as a number or like \"5GB\" or \"512MiB\", not {OptionReader.Shown(value)}.", "out_of_range");
    }
}
