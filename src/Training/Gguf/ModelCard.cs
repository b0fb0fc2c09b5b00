using System.Text.RegularExpressions;

namespace Gradus.Training.Gguf;

/// <summary>The card (README.md) of a folder that was made of a GGUF file: its front matter is where Hugging Face keeps the licence.</summary>
internal static partial class ModelCard
{
    /// <summary>A card for an imported file. Only a licence that looks like one's name is taken over.</summary>
    public static void Write(GgufFile source, string folder)
    {
        if (source.Metadata.Text("general.license") is not { } license || !Name().IsMatch(license)) return;
        File.WriteAllText(Path.Combine(folder, "README.md"), $"---\nlicense: {license}\n---\n\nMade from a GGUF file.\n");
    }

    [GeneratedRegex(@"\A[A-Za-z0-9.+-]{1,64}\z", RegexOptions.CultureInvariant)]
    private static partial Regex Name();
}
