using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Gradus.Training.Checkpoints;

/// <summary>
/// The last file of a checkpoint to be written: its presence says that all others are there, and its hashes that they are what they were. It carries a
/// hash of itself.
/// </summary>
/// <param name="OptimizerSteps">Updates the optimizer had made; 0 where none was saved.</param>
internal sealed record CheckpointManifest(
    int Format, string JobId, int Step, long Stamp, long OptimizerSteps, IReadOnlyList<WrittenFile> Files, SortedDictionary<string, string> Environment)
{
    public const string Name = "manifest.json";

    private sealed record Sealed(JsonElement Content, string Sha256);

    public void Write(Stream stream)
    {
        var content = JsonSerializer.SerializeToElement(this);
        JsonSerializer.Serialize(stream, new Sealed(content, Hash(content)));
    }

    /// <summary>The manifest of a folder whose every file is whole, or why there is none.</summary>
    public static (CheckpointManifest? Manifest, string? Torn) Verify(string folder)
    {
        if (!Directory.Exists(folder)) return (null, "the folder is gone");
        var file = Path.Combine(folder, Name);
        if (!File.Exists(file)) return (null, "it has no manifest");
        CheckpointManifest manifest;
        try
        {
            var wrapped = JsonSerializer.Deserialize<Sealed>(File.ReadAllBytes(file));
            if (wrapped is null || Hash(wrapped.Content) != wrapped.Sha256) return (null, "its manifest is not what was written");
            manifest = wrapped.Content.Deserialize<CheckpointManifest>()!;
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            return (null, "its manifest is not what was written");
        }
        if (manifest.Format != 1) return (null, $"its format is {manifest.Format}, this program reads 1");
        foreach (var written in manifest.Files)
        {
            var now = DurableFile.Read(Path.Combine(folder, written.Name));
            if (now is null) return (null, $"{written.Name} is gone");
            if (now != written) return (null, $"{written.Name} is not what was written ({now.Value.Bytes} bytes, {written.Bytes} were written)");
        }
        return (manifest, null);
    }

    private static string Hash(JsonElement content) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(content.GetRawText())));
}
