using System.Buffers;
using System.Text.RegularExpressions;
using Gradus.Api.Operations;
using Gradus.Training;
using Gradus.Training.Lora;
using Gradus.Training.Model;

namespace Gradus.Api.Models;

/// <summary>
/// What an import takes in, file by file, wherever it comes from: known names alone, each once, within the bytes allowed. Everything else is counted and left; files that hold
/// programs (pickle) are never read.
/// </summary>
internal sealed partial class ImportedFiles(string folder, long mostBytes)
{
    /// <summary>Files beside the weights: tokenizer.json of the largest vocabularies is 35 MB.</summary>
    private const long LargestText = 256L << 20;

    private static readonly HashSet<string> texts =
    [
        .. ModelFolder.TokenizerFiles, .. ModelFolder.CardFiles, "config.json", "generation_config.json", "adapter_config.json", "model.safetensors.index.json",
    ];

    /// <summary>Known files that stand in a folder of their own.</summary>
    public static IReadOnlyList<string> Nested { get; } = [.. texts.Where(name => name.Contains('/', StringComparison.Ordinal))];

    private readonly Dictionary<string, long> taken = new(StringComparer.Ordinal);
    private readonly List<string> pickles = [];

    /// <summary>Files that were taken.</summary>
    public int Count => taken.Count;

    /// <summary>Files that were left out.</summary>
    public int Skipped { get; private set; }

    public long Bytes { get; private set; }

    /// <summary>Whether a file of that name belongs to a model.</summary>
    public static bool IsKnown(string name) => texts.Contains(name) || IsWeights(name) || IsGguf(name);

    public static bool IsGguf(string name) => name.EndsWith(".gguf", StringComparison.Ordinal) && PlainName().IsMatch(name);

    /// <summary>Takes a file or counts it as left out.</summary>
    /// <param name="name">Without a folder, but for a known name that has one.</param>
    /// <param name="length">Of the content, in bytes; null where only its end tells.</param>
    /// <exception cref="InvalidInputException">It came before, is too large, or shorter than its length.</exception>
    public async Task TakeAsync(string name, long? length, Stream content, CancellationToken cancel)
    {
        if (!IsKnown(name))
        {
            Skip(name);
            return;
        }
        if (!taken.TryAdd(name, 0)) throw new InvalidInputException($"The file '{name}' came twice.", name, "invalid_archive");
        if (texts.Contains(name) && length > LargestText) throw TooLarge(name, LargestText);
        Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(folder, name))!);
        await using var file = new FileStream(Path.Combine(folder, name), FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0, FileOptions.Asynchronous);
        var buffer = ArrayPool<byte>.Shared.Rent(1 << 20);
        try
        {
            int read;
            while ((read = await content.ReadAtLeastAsync(buffer.AsMemory(0, 1 << 20), 1 << 20, throwOnEndOfStream: false, cancel)) > 0)
            {
                Bytes += read;
                taken[name] += read;
                if (Bytes > mostBytes) throw new ApiException(413, $"The model is larger than {mostBytes:N0} bytes (setting Gradus:MaxModelBytes).", name, "too_large");
                if (texts.Contains(name) && taken[name] > LargestText) throw TooLarge(name, LargestText);
                await file.WriteAsync(buffer.AsMemory(0, read), cancel);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
        if (length is { } expected && taken[name] != expected) throw new InvalidInputException($"The file '{name}' ends after {taken[name]:N0} of {expected:N0} bytes.", name, "truncated");
    }

    /// <summary>Counts a file that is left out.</summary>
    public void Skip(string name)
    {
        Skipped++;
        if (IsPickle(name)) pickles.Add(name);
    }

    /// <summary>The GGUF file that the model has to be made of; null where it is a Hugging Face folder.</summary>
    /// <exception cref="InvalidInputException">What came is no model.</exception>
    public string? Gguf()
    {
        if (taken.Keys.Any(IsWeights))
            return taken.ContainsKey("config.json") || taken.ContainsKey("adapter_config.json") ? null : throw new InvalidInputException("There is no config.json (of an adapter: no adapter_config.json) among the files.", "config.json", "missing");
        if (taken.Keys.Where(IsGguf).ToArray() is [var first, .. var more])
            return more.Length == 0 ? Path.Combine(folder, first) : throw new InvalidInputException($"There are {more.Length + 1} GGUF files; send one.", first, "invalid_archive");
        if (pickles is [var pickle, ..])
            throw new InvalidInputException($"'{pickle}' is refused: pickle files (.bin, .pt, .pth, .ckpt) can run programs. Convert the weights to safetensors (transformers: save_pretrained(..., safe_serialization=True)).", pickle, "pickle_refused");
        throw new InvalidInputException($"There are no weights: expected is model.safetensors, shards of it with model.safetensors.index.json, adapter_model.safetensors, or one .gguf. {Count} files were taken, {Skipped} have names that no model's file has.", null, "missing");
    }

    /// <summary>Whether what came is an adapter. Beside whole weights its files are left out: the weights may have it in them.</summary>
    public bool IsAdapter()
    {
        if (!taken.ContainsKey(AdapterConfig.File)) return false;
        if (!taken.Keys.Any(name => IsWeights(name) && name != Adapter.WeightsFile) && taken.ContainsKey(Adapter.WeightsFile)) return true;
        foreach (var name in new[] { AdapterConfig.File, Adapter.WeightsFile }.Where(taken.Remove))
        {
            File.Delete(Path.Combine(folder, name));
            Skipped++;
        }
        return false;
    }

    private static bool IsWeights(string name) => name is "model.safetensors" or "adapter_model.safetensors" || Shard().IsMatch(name);

    private static bool IsPickle(string name) => name.EndsWith(".bin", StringComparison.OrdinalIgnoreCase) || name.EndsWith(".pt", StringComparison.OrdinalIgnoreCase)
        || name.EndsWith(".pth", StringComparison.OrdinalIgnoreCase) || name.EndsWith(".ckpt", StringComparison.OrdinalIgnoreCase) || name.EndsWith(".pkl", StringComparison.OrdinalIgnoreCase);

    private static ApiException TooLarge(string name, long most) => new(413, $"The file '{name}' may have {most:N0} bytes.", name, "too_large");

    [GeneratedRegex(@"^model-[0-9]{5}-of-[0-9]{5}\.safetensors$", RegexOptions.CultureInvariant)]
    private static partial Regex Shard();

    [GeneratedRegex(@"^[A-Za-z0-9_][A-Za-z0-9._+ -]{0,150}$", RegexOptions.CultureInvariant)]
    private static partial Regex PlainName();
}
