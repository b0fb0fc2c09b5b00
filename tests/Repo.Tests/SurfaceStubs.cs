using System.Text;
using System.Text.RegularExpressions;

namespace Gradus.Repo.Tests;

/// <summary>
/// C# declarations made from a list of public signatures (<c>hangfire-1.8.24.txt</c>), so that code can be compiled against a package that is not here. The
/// list names neither interfaces of classes nor constraints; what matters of that is given by <paramref name="supplement"/>.
/// </summary>
internal sealed partial class SurfaceStubs(IReadOnlyDictionary<string, string> supplement)
{
    private readonly HashSet<string> namespaces = [];
    private readonly HashSet<string> enums = [];

    /// <summary>The whole source: every type of the list in its namespace.</summary>
    public string Source(IEnumerable<string> lines)
    {
        var types = Read(lines);
        foreach (var type in types)
        {
            namespaces.Add(Split(type.Name).Namespace);
            if (type.Kind == "enum") enums.Add(Split(type.Name).Short);
        }

        var source = new StringBuilder("#nullable disable\n#pragma warning disable\nusing System;\nusing System.Collections.Generic;\nusing System.Linq.Expressions;\nusing System.Reflection;\nusing System.Threading;\nusing System.Threading.Tasks;\nusing System.Text.RegularExpressions;\nusing System.Globalization;\nusing Microsoft.AspNetCore.Builder;\nusing Microsoft.AspNetCore.Http;\nusing Microsoft.AspNetCore.Routing;\n");
        foreach (var name in namespaces) source.Append($"using {name};\n");
        foreach (var type in types) Write(source, type);
        return source.ToString();
    }

    private static List<ListedType> Read(IEnumerable<string> lines)
    {
        List<ListedType> types = [];
        foreach (var line in lines)
        {
            if (Header().Match(line) is { Success: true } header) types.Add(new(header.Groups[1].Value, header.Groups[2].Value, header.Groups[4].Value, []));
            else if (line.StartsWith("  ", StringComparison.Ordinal) && types.Count > 0) types[^1].Members.Add(line.Trim());
        }

        return types;
    }

    private void Write(StringBuilder source, ListedType type)
    {
        var (space, name) = Split(type.Name);
        var generic = name.Contains('`');
        var plain = name.Split('`')[0];
        var bases = supplement.GetValueOrDefault(name, type.Kind == "enum" ? "" : type.Base);
        source.Append($"namespace {space} {{ public {type.Kind} {plain}{(generic ? "<T>" : "")}{(bases.Length > 0 && type.Kind != "static class" ? " : " + bases : "")} {{\n");
        if (type.Kind == "enum") source.Append(string.Join(", ", type.Members.Where(member => member.StartsWith("static ", StringComparison.Ordinal)).Select(member => member.Split(' ')[^1])));
        else
        {
            foreach (var member in type.Members) source.Append(Member(member, type.Kind, plain)).Append('\n');
            // Not for those outside: the assembly's own derived stubs need it.
            if (type.Kind == "class" && !type.Members.Contains($"new {plain}()")) source.Append($"internal {plain}() {{ }}\n");
        }

        source.Append("} }\n");
    }

    private string Member(string text, string kind, string type)
    {
        if (text.StartsWith("new ", StringComparison.Ordinal)) return $"public {type}{Parameters(text[text.IndexOf('(')..], false)} {{ }}";
        var isStatic = text.StartsWith("static ", StringComparison.Ordinal);
        var rest = isStatic ? text["static ".Length..] : text;
        var modifier = kind == "interface" ? "" : isStatic || kind == "static class" ? "public static " : "public virtual ";
        if (Property().Match(rest) is { Success: true } property)
            return $"{modifier}{property.Groups[1].Value} {property.Groups[2].Value} {{ {(rest.Contains("get;") ? kind == "interface" ? "get; " : "get => throw null; " : "")}{(rest.Contains("set;") ? kind == "interface" ? "set; " : "set { } " : "")}}}";
        if (Method().Match(rest) is { Success: true } method)
            return $"{modifier}{method.Groups[1].Value} {method.Groups[2].Value}{Parameters(method.Groups[4].Value, kind == "static class" && type.EndsWith("Extensions", StringComparison.Ordinal))}{(kind == "interface" ? ";" : " => throw null;")}";
        return $"public {(isStatic ? "static " : "")}{rest};";
    }

    private string Parameters(string text, bool extension)
    {
        List<string> parts = [];
        var (depth, begin, inner) = (0, 0, text[1..^1]);
        for (var i = 0; i <= inner.Length; i++)
        {
            if (i < inner.Length && inner[i] is '<' or '[') depth++;
            if (i < inner.Length && inner[i] is '>' or ']') depth--;
            if (i < inner.Length && (inner[i] != ',' || depth > 0)) continue;
            if (inner[begin..i].Trim() is { Length: > 0 } part) parts.Add(Parameter(part));
            begin = i + 1;
        }

        return $"({(extension ? "this " : "")}{string.Join(", ", parts)})";
    }

    private string Parameter(string text)
    {
        var (declared, value) = text.Split(" = ") is [var left, var right] ? (left, right) : (text, null);
        var place = declared.LastIndexOf(' ');
        var (type, name) = (declared[..place], declared[(place + 1)..]);
        var optional = value switch
        {
            null => "",
            "null" or "default" => " = default",
            _ when enums.Contains(type) || type == "JobContinuationOptions" => $" = ({type}){value}",
            _ when type == "string" => $" = \"{value}\"",
            _ => " = " + value,
        };
        return $"{type} @{name}{optional}";
    }

    private static (string Namespace, string Short) Split(string name) => (name[..name.LastIndexOf('.')], name[(name.LastIndexOf('.') + 1)..]);

    [GeneratedRegex(@"^(static class|class|interface|enum) ([\w.`]+)( : (.+))?$")]
    private static partial Regex Header();

    [GeneratedRegex(@"^(.+) (\w+) \{ .*\}$")]
    private static partial Regex Property();

    [GeneratedRegex(@"^(.+?) (\w+(<[^>(]+>)?)(\(.*\))$")]
    private static partial Regex Method();

    private sealed record ListedType(string Kind, string Name, string Base, List<string> Members);
}
