# The Homebrew formula of landfall. `landfall-packaging formula` fills the placeholders for a release.
class Landfall < Formula
  desc "Brings an Azure subscription to a working HTTPS gateway on AKS"
  homepage "@REPOSITORY@"
  version "@VERSION@"
  license "MIT"

  on_macos do
    on_arm do
      url "@URL aarch64-apple-darwin@"
      sha256 "@SHA256 aarch64-apple-darwin@"
    end
    on_intel do
      url "@URL x86_64-apple-darwin@"
      sha256 "@SHA256 x86_64-apple-darwin@"
    end
  end

  on_linux do
    on_arm do
      url "@URL aarch64-unknown-linux-musl@"
      sha256 "@SHA256 aarch64-unknown-linux-musl@"
    end
    on_intel do
      url "@URL x86_64-unknown-linux-musl@"
      sha256 "@SHA256 x86_64-unknown-linux-musl@"
    end
  end

  def install
    bin.install "landfall"
    man1.install "man/landfall.1"
    bash_completion.install "completions/landfall.bash" => "landfall"
    zsh_completion.install "completions/_landfall"
    fish_completion.install "completions/landfall.fish"
  end

  test do
    assert_equal "landfall #{version}", shell_output("#{bin}/landfall --version").strip
    system bin/"landfall", "--state-dir", testpath/"state", "up", "--speed", "instant"
  end
end
