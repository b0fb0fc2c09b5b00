using System.Text.RegularExpressions;

namespace Gradus.Training.Gguf;

/// <summary>The licence in the front matter of a folder's README.md, where Hugging Face keeps it.</summary>
internal static partial class ModelCard
{
    /// <summary>Lines of a card that are looked at.</summary>
    private const int Lines = 200;

    /// <summary>The licence's short name; null where none is told.</summary>
    public static string? License(string folder)
    {
        var path = Path.Combine(folder, "README.md");
        if (!File.Exists(path)) return null;
        var front = File.ReadLines(path).Take(Lines).ToArray();
        if (front is not ["---", ..]) return null;
        return front.Skip(1).TakeWhile(line => line != "---").Select(line => Line().Match(line)).FirstOrDefault(match => match.Success)?.Groups[1].Value;
    }

    /// <summary>A card for an imported file. Only a licence that looks like one's name is taken over.</summary>
    public static void Write(GgufFile source, string folder)
    {
        if (source.Metadata.Text("general.license") is not { } license || !Name().IsMatch(license)) return;
        File.WriteAllText(Path.Combine(folder, "README.md"), $"---\nlicense: {license}\n---\n\nMade from a GGUF file.\n");
    }

    [GeneratedRegex(@"\Alicense: *([A-Za-z0-9.+-]{1,64}) *\z", RegexOptions.CultureInvariant)]
    private static partial Regex Line();

    [GeneratedRegex(@"\A[A-Za-z0-9.+-]{1,64}\z", RegexOptions.CultureInvariant)]
    private static partial Regex Name();
}
